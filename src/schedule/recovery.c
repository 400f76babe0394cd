#include "schedule/recovery.h"

#include <string.h>

#include "base/log.h"
#include "base/wait.h"
#include "postgres/advisory_lock.h"
#include "postgres/ledger.h"
#include "schedule/claim.h"
#include "store/backup_object.h"
#include "store/manifest.h"

/* Backups that are due wait for this: after so long no other run is begun with. */
#define RECOVERY_MS (5 * 60 * 1000)

#define INTERRUPTED_MESSAGE                                                                        \
    "interrupted: the process that ran this backup died before it was published"
#define COPY_MESSAGE "begun in another database or server, of which this one is a copy"

static bool adopt(struct session *session, const struct backup_object *found, struct error *err)
{
    struct history_result done = claim_result_of(&found->facts);
    bool fenced;

    if (!backup_history_complete(session, &done, &fenced, err)) {
        return false;
    }
    log_write(&LOG_WITH(LOG_WARNING, LOG_MARK_WARNING, "run_adopted",
                        LOG_TEXT("run_id", done.run_id), LOG_TEXT("name", found->object->name)),
              "Backup %s had been published by a run that died before recording it: adopted as "
              "completed",
              found->object->name);
    return true;
}

static bool mark_interrupted(struct session *session, const struct history_row *row,
                             struct error *err)
{
    if (!backup_history_fail(session, row->run_id, 0, INTERRUPTED_MESSAGE, err)) {
        return false;
    }
    log_write(&LOG_WITH(LOG_WARNING, LOG_MARK_WARNING, "run_interrupted",
                        LOG_TEXT("run_id", row->run_id), LOG_TEXT("name", row->name)),
              "Backup %s was interrupted before it was published: marked failed", row->name);
    return true;
}

/* Published, but not what was sent: it goes, or nothing is concluded while it stands there. */
static bool withdraw(struct store *store, const struct object *object, struct error *err)
{
    enum store_removal removal = STORE_CHANGED;

    if (!manifest_remove_backup(store, object, &removal, err)) {
        return error_prefix(err, "removing it, for it is not what was sent");
    }
    if (removal != STORE_REMOVED && removal != STORE_WAS_GONE) {
        return error_set(err, ERROR_FAILED,
                         "it is not what was sent, and the store does not let it go; do not "
                         "restore from it");
    }
    return true;
}

/* What a published object of this run is worth; *whole false: the store has other bytes than were
 * sent. One that cannot be read as ours (a newer version's, say) is nobody's to judge here. */
static bool examine(struct store *store, const struct object *object, const char *run_id,
                    struct backup_object *backup, bool *whole, struct error *err)
{
    if (!backup_object_parse(object, backup)) {
        return error_set(err, ERROR_FAILED,
                         "it bears this run's id, but its length or metadata are not what this "
                         "version writes; look at it, and remove it if it is no good");
    }
    return store_confirm(store, object, run_id, whole, err) &&
           (!*whole || store_check_digest(store, object, whole, err));
}

/* A run may die before the container or folder is made. One that has held backups and is not there
 * any more is not made again: its file system is not mounted, and says nothing of the run. */
static bool prepare(struct session *session, struct store *store, struct error *err)
{
    bool used = false;

    return backup_history_used_store(session, store->location, &used, err) &&
           (used || store_prepare(store, err));
}

/* With the schedule's lock held: the run is dead. What the store says decides. First what it left
 * is taken away, then the store is asked: were it only paused, it could not publish any more, where
 * the store lets the former be done (a folder does). */
static bool settle(struct session *session, struct store *store, const struct history_row *row,
                   struct error *err)
{
    const char *name = row->name;
    const char *run_id = row->run_id;
    struct object object = OBJECT_INIT;
    struct backup_object backup = {.object = NULL};
    bool found = false;
    bool whole = false;

    bool ok = prepare(session, store, err) && store_discard(store, name, run_id, err) &&
              store_head(store, name, &object, &found, err);
    if (ok && found && backup_object_has_run(&object, run_id)) {
        ok = examine(store, &object, run_id, &backup, &whole, err) &&
             (whole || withdraw(store, &object, err));
    }
    if (ok && !whole) {
        ok = manifest_remove(store, name, run_id, err) && mark_interrupted(session, row, err);
    } else if (ok) {
        ok = adopt(session, &backup, err);
    }
    object_clear(&object);
    return ok;
}

/* True when the row came here with a copy of the database: the run may even be going on, there. */
static bool end_copied(struct session *session, const struct history_row *row, bool *copied,
                       struct error *err)
{
    struct ledger ledger;
    char here[LEDGER_TEXT_SIZE];

    if (!ledger_identify(session, &ledger, err)) {
        return false;
    }
    ledger_format(here, &ledger);
    *copied = row->ledger[0] != '\0' && strcmp(row->ledger, here) != 0;
    if (!*copied) {
        return true;
    }
    if (!backup_history_fail(session, row->run_id, 0, COPY_MESSAGE, err)) {
        return false;
    }
    log_write(
        &LOG_WITH(LOG_INFO, LOG_MARK_NOTE, "run_copied", LOG_TEXT("run_id", row->run_id),
                  LOG_TEXT("name", row->name)),
        "The run of backup %s was begun in %s, of which this database is a copy: marked failed "
        "here",
        row->name, row->ledger);
    return true;
}

/* Only the store of the run can tell what became of it. */
static bool settle_with_store(struct session *session, struct store_pool *stores,
                              const struct history_row *row, struct error *err)
{
    struct store *store = NULL;

    if (!store_pool_get(stores, row->store, &store, err)) {
        error_prefix(err, "its store is %s", row->store != NULL ? row->store : "not recorded");
        return error_hint(err, "run check once with the settings of that run");
    }
    return settle(session, store, row, err);
}

static bool resolve(const struct session_options *options, struct store_pool *stores,
                    const struct history_row *row, struct error *err)
{
    struct session *session = NULL;
    bool copied = false;
    bool taken = false;
    bool started = false;

    bool ok = session_open(options, &session, err) &&
              advisory_lock_try(session, row->schedule_id, &taken, err) &&
              (!taken || backup_history_is_started(session, row->run_id, &started, err));
    /* The row may have ended between our reading it and our having the lock. */
    if (ok && started) {
        ok = end_copied(session, row, &copied, err) &&
             (copied || settle_with_store(session, stores, row, err));
    }
    session_close(session);
    return ok;
}

bool recovery_run(const struct session_options *session, struct store_pool *stores,
                  struct recovery_report *out, struct error *err)
{
    struct session *ledger = NULL;
    struct history_rows rows = {.items = NULL};
    struct deadline end = deadline_in_ms(RECOVERY_MS);

    *out = (struct recovery_report){.unresolved = 0};
    bool ok =
        session_open(session, &ledger, err) && backup_history_read_started(ledger, &rows, err);
    session_close(ledger);
    for (size_t i = 0; ok && i < rows.count; i++) {
        struct error problem = ERROR_INIT;
        if (deadline_left_ms(&end) == 0) {
            out->unresolved += rows.count - i;
            log_warning("recovery_interrupted",
                        "Resolving interrupted backups took too long: %zu are left to the next "
                        "check",
                        rows.count - i);
            break;
        }
        if (!resolve(session, stores, &rows.items[i], &problem)) {
            if (problem.kind == ERROR_STOPPED) {
                *err = problem;
                ok = false;
                break;
            }
            out->unresolved++;
            log_warning("run_unresolved", "What became of backup %s could not be found out: %s",
                        rows.items[i].name, problem.text);
        }
    }
    backup_history_clear(&rows);
    return ok;
}
