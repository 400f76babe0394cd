#include "schedule/claim.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/wait.h"
#include "crypto/digest.h"
#include "crypto/random.h"
#include "postgres/advisory_lock.h"

/* Recording an outcome is worth another try: without it the next check must find out. */
#define RECORD_ATTEMPTS 3
#define RECORD_PAUSE_MS 1000
#define NAME_ATTEMPTS   100 /* a millisecond each */

static bool make_run_id(char out[BACKUP_RUN_ID_SIZE], struct error *err)
{
    unsigned char bytes[(BACKUP_RUN_ID_SIZE - 1) / 2];

    if (!random_bytes(bytes, sizeof(bytes), err)) {
        return false;
    }
    digest_format_hex(out, bytes, sizeof(bytes));
    return true;
}

/* Asked again under the lock: what the tick saw may be old by now. Its age is the tick's to judge:
 * a schedule that waited behind another's long backup is not too late for that. CLAIM_TAKEN when
 * nothing stands in the way. */
static bool look_again(struct session *session, const struct claim_request *request,
                       enum claim_result *result, struct error *err)
{
    const struct schedule *seen = request->schedule;
    struct schedules schedules;

    if (!backup_schedule_read_one(session, request->catch_up_s, seen->id, &schedules, err)) {
        return false;
    }
    const struct schedule *now = schedules.count > 0 ? &schedules.items[0] : NULL;
    if (now == NULL || (now->state != SCHEDULE_DUE && now->state != SCHEDULE_MISSED) ||
        now->occurrence_ms != seen->occurrence_ms) {
        *result = CLAIM_NOT_DUE;
    } else if (now->attempt != seen->attempt || !backup_schedule_is_alike(now, seen)) {
        *result = CLAIM_CHANGED;
    } else {
        *result = CLAIM_TAKEN;
    }
    backup_schedule_clear(&schedules);
    return true;
}

static bool start_row(struct claim *claim, const struct claim_request *request,
                      enum history_claim *claimed, struct error *err)
{
    const struct schedule *schedule = request->schedule;
    char *locations[STORES_MOST];
    char ledger[LEDGER_TEXT_SIZE];
    struct history_start start = {
        .run_id = claim->run_id,
        .name = claim->name,
        .schedule_id = schedule->id,
        .database = schedule->dbname,
        .of_all_databases = schedule->all_databases,
        .scheduled = request->scheduled,
        .has_occurrence = request->scheduled,
        .occurrence_ms = schedule->occurrence_ms,
        .attempt = request->scheduled ? schedule->attempt : 1,
        .store = request->stores->stores[0]->location,
        .stores = locations,
        .required = request->stores->required,
        .store_count = request->stores->count > 1 ? request->stores->count : 0,
        .ledger = ledger,
        .silent = request->silent,
    };

    for (size_t i = 0; i < request->stores->count; i++) {
        locations[i] = request->stores->stores[i]->location;
    }
    if (!make_run_id(claim->run_id, err) || !ledger_identify(claim->session, &claim->ledger, err)) {
        return false;
    }
    ledger_format(ledger, &claim->ledger);
    *claimed = HISTORY_NAME_TAKEN;
    for (int i = 0; i < NAME_ATTEMPTS && *claimed == HISTORY_NAME_TAKEN; i++) {
        if (!session_now(claim->session, &claim->begun_ms, err)) {
            return false;
        }
        backup_name_format(claim->name, claim->begun_ms, request->suffix);
        if (!backup_history_start(claim->session, &start, claim->history_id, claimed, err)) {
            return false;
        }
    }
    return *claimed != HISTORY_NAME_TAKEN ||
           error_set(err, ERROR_FAILED,
                     "other runs have taken the names of every instant; is the "
                     "clock of the database server standing still?");
}

static bool take(const struct claim_request *request, struct claim *claim,
                 enum claim_result *result, struct error *err)
{
    enum history_claim claimed = HISTORY_OCCURRENCE_TAKEN;

    if (!session_open(request->session, &claim->session, err) ||
        !advisory_lock_try(claim->session, claim->schedule_id, &claim->is_locked, err)) {
        return false;
    }
    *result = CLAIM_LOCKED;
    if (!claim->is_locked) {
        return true;
    }
    *result = CLAIM_TAKEN;
    if (request->scheduled && !look_again(claim->session, request, result, err)) {
        return false;
    }
    if (*result != CLAIM_TAKEN) {
        return true;
    }
    if (!start_row(claim, request, &claimed, err)) {
        return false;
    }
    if (claimed != HISTORY_CLAIMED) {
        *result = CLAIM_NOT_DUE;
    }
    return true;
}

bool claim_take(const struct claim_request *request, struct claim *out, enum claim_result *result,
                struct error *err)
{
    struct claim claim = CLAIM_INIT;

    claim.session_options = *request->session;
    claim.begun_mono_ms = clock_monotonic_ms();
    claim.has_occurrence = request->scheduled;
    claim.occurrence_ms = request->schedule->occurrence_ms;
    snprintf(claim.schedule_id, sizeof(claim.schedule_id), "%s", request->schedule->id);
    if (request->schedule->all_databases) {
        snprintf(claim.one_of_all, sizeof(claim.one_of_all), "%s", request->schedule->dbname);
    }
    bool ok = take(request, &claim, result, err);
    if (!ok || *result != CLAIM_TAKEN) {
        claim_close(&claim);
        return ok;
    }
    *out = claim;
    return true;
}

bool claim_confirm(struct claim *claim, struct error *err)
{
    bool started = false;

    if (!advisory_lock_held(claim->session, claim->schedule_id, err) ||
        !backup_history_is_started(claim->session, claim->run_id, &started, err)) {
        return false;
    }
    return started || error_set(err, ERROR_FAILED,
                                "run %s is not 'started' in backup_history any more: another "
                                "process has resolved it",
                                claim->run_id);
}

int64_t claim_elapsed_ms(const struct claim *claim)
{
    return clock_monotonic_ms() - claim->begun_mono_ms;
}

/* A session that answers, also after a stop was requested and after the first one died. */
static bool renew(struct claim *claim, struct error *err)
{
    session_ignore_stop(claim->session);
    if (session_is_alive(claim->session)) {
        return true;
    }
    struct session_options options = claim->session_options;
    struct session *fresh = NULL;
    options.ignore_stop = true;
    if (!session_open(&options, &fresh, err)) {
        return false;
    }
    session_close(claim->session);
    claim->session = fresh;
    claim->is_locked = false;
    return true;
}

/* What is to be written of an outcome. */
struct outcome_record {
    const struct history_result *done; /* or NULL */
    const struct copy_note *notes;     /* or NULL */
    size_t note_count;
    const char *message; /* of a failure */
    bool has_copies;
    bool fenced;
};

static bool write_notes(struct claim *claim, const struct outcome_record *record, struct error *err)
{
    bool ok = true;

    for (size_t i = 0; ok && i < record->note_count; i++) {
        ok = backup_copies_note(claim->session, claim->run_id, &record->notes[i], err);
    }
    return ok;
}

static bool write_record(struct claim *claim, struct outcome_record *record, struct error *err)
{
    if (record->notes != NULL) {
        return write_notes(claim, record, err);
    }
    if (record->done != NULL) {
        return backup_history_complete(claim->session, record->done, &record->fenced, err);
    }
    return backup_history_fail(claim->session, claim->run_id, claim_elapsed_ms(claim),
                               record->message, err) &&
           (!record->has_copies || backup_copies_drop_run(claim->session, claim->run_id, err));
}

/* Tries to write it, and again after a pause on what may pass. */
static bool write_outcome(struct claim *claim, struct outcome_record *record, struct error *err)
{
    for (int attempt = 1;; attempt++) {
        bool ok = renew(claim, err) && write_record(claim, record, err);
        if (ok || !err->retryable || attempt == RECORD_ATTEMPTS) {
            return ok;
        }
        struct deadline pause = deadline_cleanup_in_ms(RECORD_PAUSE_MS);
        struct error ignored = ERROR_INIT;
        wait_until(&pause, &ignored);
    }
}

struct history_result claim_result_of(const struct backup_facts *facts)
{
    return (struct history_result){
        .run_id = facts->run_id,
        .bytes = facts->bytes,
        .raw_bytes = facts->raw_bytes,
        .duration_ms = facts->duration_ms,
        .sha256 = facts->sha256,
        .engine = facts->engine,
        .has_rows = facts->has_rows,
        .tables = facts->tables,
        .rows = facts->rows,
    };
}

bool claim_complete(struct claim *claim, const struct history_result *done, bool *fenced,
                    struct error *err)
{
    struct outcome_record record = {.done = done};
    bool ok = write_outcome(claim, &record, err);

    *fenced = record.fenced;
    return ok;
}

bool claim_fail(struct claim *claim, const char *message, bool has_copies, struct error *err)
{
    struct outcome_record record = {.message = message, .has_copies = has_copies};

    return write_outcome(claim, &record, err);
}

bool claim_note_copies(struct claim *claim, const struct copy_note notes[], size_t count,
                       struct error *err)
{
    struct outcome_record record = {.notes = notes, .note_count = count};

    return write_outcome(claim, &record, err);
}

void claim_close(struct claim *claim)
{
    if (claim->is_locked) {
        advisory_lock_release(claim->session, claim->schedule_id);
    }
    session_close(claim->session);
    claim->session = NULL;
    claim->is_locked = false;
}
