#include "backup/run.h"
#include "base/log.h"
#include "postgres/backup_copies.h"
#include "postgres/backup_history.h"

/* Of one store there is nothing to note. What is not noted now, the next check finds out. */
static void note_copies(struct run *run)
{
    const struct store_choice *stores = run->request->stores;
    struct copy_note notes[STORES_MOST];
    struct error problem = ERROR_INIT;

    for (size_t i = 0; i < stores->count; i++) {
        const struct publication_copy *copy = &run->publication.copies[i];
        notes[i] = (struct copy_note){
            .store = stores->stores[i]->location,
            .required = stores->required[i],
            .state = copy->state,
            .error = copy->state == COPY_MISSING ? copy->problem.text : NULL,
        };
    }
    if (stores->count > 1 && !claim_note_copies(&run->claim, notes, stores->count, &problem)) {
        log_warning("ledger_not_written",
                    "Where the backup is could not be recorded: %s; the next check finds out",
                    problem.text);
    }
}

bool run_record_completed(struct run *run, struct error *err)
{
    struct claim *claim = &run->claim;
    struct history_result done = claim_result_of(&run->publication.facts);
    bool fenced = false;

    note_copies(run);
    if (claim_complete(claim, &done, &fenced, err)) {
        return true;
    }
    if (fenced) {
        run->result->status = BACKUP_FAILED;
        return publication_withdraw(&run->publication, err);
    }
    err->kind = ERROR_DEGRADED;
    error_prefix(err, "backup %s is stored, but recording it failed", claim->name);
    return error_hint(err, "the next check records it");
}

void run_record_failed(struct run *run, const struct error *err)
{
    struct error problem = ERROR_INIT;
    /* What a thread that was left behind leaves in its store, a later check cleans up. */
    bool has_copies = run->request->stores->count > 1 && !run->left_behind;

    if (!claim_fail(&run->claim, err->text, has_copies, &problem)) {
        log_warning("ledger_not_written",
                    "The failure could not be recorded: %s; the next check marks the run failed",
                    problem.text);
    }
}

void run_record_skipped(struct run *run, struct error *err)
{
    const struct claim *claim = &run->claim;
    struct error problem = ERROR_INIT;
    bool first;

    error_set(err, ERROR_FAILED, "skipped: the hook before asked for no backup now");
    log_info(LOG_MARK_NOTE, "backup_skipped", "No backup was made: the hook before asked for that");
    run_record_failed(run, err);
    if (!backup_history_tell(claim->session, claim->history_id, &first, &problem)) {
        log_warning("ledger_not_written", "%s", problem.text);
    }
}
