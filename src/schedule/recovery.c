#include "schedule/recovery.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "postgres/advisory_lock.h"
#include "store/backup_object.h"

static bool has_run(const struct object *object, const char *run_id)
{
    const char *run = metadata_get(&object->metadata, BACKUP_RUN_KEY);

    return run != NULL && strcmp(run, run_id) == 0;
}

static bool adopt(struct session *session, const struct backup_object *found, struct recovered *out,
                  struct error *err)
{
    struct history_result done = {
        .run_id = out->row.run_id,
        .bytes = found->object->bytes,
        .raw_bytes = found->facts.raw_bytes,
        .duration_ms = found->facts.duration_ms,
        .sha256 = found->facts.sha256,
    };

    out->adopted = true;
    out->bytes = done.bytes;
    out->duration_ms = done.duration_ms;
    bool fenced;
    return backup_history_complete(session, &done, &fenced, err);
}

/* Published, but not what was sent: it goes, or nothing is concluded while it stands there. */
static bool withdraw(struct store *store, const struct object *object, struct error *err)
{
    enum store_removal removal = STORE_CHANGED;

    if (!store_remove(store, object, &removal, err)) {
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
    return store_confirm(store, object, run_id, whole, err);
}

/* With the schedule's lock held: the run is dead. What the store says decides. First what it left
 * is taken away, then the store is asked: were it only paused, it could not publish any more. */
static bool settle(struct session *session, struct store *store, struct recovered *out,
                   struct error *err)
{
    const char *name = out->row.name;
    const char *run_id = out->row.run_id;
    struct object object = OBJECT_INIT;
    struct backup_object backup = {.object = NULL};
    bool found = false;
    bool whole = false;

    /* A run may die before the container or folder is made. */
    bool ok = store_prepare(store, err) && store_discard(store, name, run_id, err) &&
              store_head(store, name, &object, &found, err);
    if (ok && found && has_run(&object, run_id)) {
        ok = examine(store, &object, run_id, &backup, &whole, err) &&
             (whole || withdraw(store, &object, err));
    }
    if (ok) {
        ok = whole ? adopt(session, &backup, out, err)
                   : backup_history_fail(session, run_id, 0, RECOVERY_MESSAGE, err);
    }
    object_clear(&object);
    return ok;
}

/* Another store than the run's cannot tell what became of it. */
static bool same_store(const struct history_row *row, const struct store *store, struct error *err)
{
    if (row->store[0] == '\0' || strcmp(row->store, store->location) == 0) {
        return true;
    }
    error_set(err, ERROR_FAILED, "it was begun in %s, and this check is set up for %s", row->store,
              store->location);
    return error_hint(err, "run check once with the settings of that run");
}

static bool resolve(const struct session_options *options, struct store *store,
                    const struct history_row *row, struct recoveries *out, struct error *err)
{
    struct session *session = NULL;
    bool taken = false;
    struct recovered recovered = {.row = *row};

    recovered.row.error_message = NULL;
    bool ok = session_open(options, &session, err) &&
              advisory_lock_try(session, row->schedule_id, &taken, err);
    /* The row may have ended between our reading it and our having the lock. */
    struct error ended = ERROR_INIT;
    if (ok && taken && backup_history_is_started(session, row->run_id, &ended)) {
        ok = same_store(row, store, err) && settle(session, store, &recovered, err);
        if (ok) {
            out->items[out->count++] = recovered;
        }
    }
    session_close(session);
    return ok;
}

static void report(const struct recovered *recovered)
{
    const char *run_id = recovered->row.run_id;
    const char *name = recovered->row.name;

    if (recovered->adopted) {
        log_write(&LOG_WITH(LOG_WARNING, LOG_MARK_WARNING, "run_adopted",
                            LOG_TEXT("run_id", run_id), LOG_TEXT("name", name)),
                  "Backup %s had been published by a run that died before recording it: adopted as "
                  "completed",
                  name);
    } else {
        log_write(&LOG_WITH(LOG_WARNING, LOG_MARK_WARNING, "run_interrupted",
                            LOG_TEXT("run_id", run_id), LOG_TEXT("name", name)),
                  "Backup %s was interrupted before it was published: marked failed", name);
    }
}

bool recovery_run(const struct session_options *session, struct store *store,
                  struct recoveries *out, struct error *err)
{
    struct session *ledger = NULL;
    struct history_rows rows = {.items = NULL};

    *out = (struct recoveries){.items = NULL};
    bool ok =
        session_open(session, &ledger, err) && backup_history_read_started(ledger, &rows, err);
    session_close(ledger);
    if (ok && rows.count > 0) {
        out->items = calloc(rows.count, sizeof(*out->items));
        ok = out->items != NULL ? true : error_set_memory(err);
    }
    for (size_t i = 0; ok && i < rows.count; i++) {
        struct error problem = ERROR_INIT;
        size_t before = out->count;
        if (!resolve(session, store, &rows.items[i], out, &problem)) {
            out->unresolved++;
            log_warning("run_unresolved", "What became of backup %s could not be found out: %s",
                        rows.items[i].name, problem.text);
        } else if (out->count > before) {
            report(&out->items[out->count - 1]);
        }
    }
    backup_history_clear(&rows);
    return ok;
}

void recovery_clear(struct recoveries *recoveries)
{
    free(recoveries->items);
    *recoveries = (struct recoveries){.items = NULL};
}
