#include "schedule/recovery.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/wait.h"
#include "postgres/advisory_lock.h"
#include "postgres/backup_copies.h"
#include "postgres/ledger.h"
#include "schedule/claim.h"
#include "schedule/used_store.h"
#include "store/backup_object.h"
#include "store/manifest.h"
#include "store/sent_backup.h"

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

/* One of the required stores of a dead run. Of the others none has what these have not: they come
 * last, and are cleaned up when copies are made (backup/copying.h). */
struct witness {
    struct store *store;  /* NULL: it could not be opened */
    struct error problem; /* it cannot tell, for this reason */
};

/* First what the run left is taken away, in every store, then they are asked: were the run only
 * paused, it could not publish any more, where the store lets the former be done (a folder does).
 */
static void discard(struct session *session, struct witness *witness, const struct history_row *row)
{
    if (witness->store != NULL && witness->problem.kind == ERROR_NONE &&
        !(used_store_prepare(session, witness->store, &witness->problem) &&
          store_discard(witness->store, row->name, row->run_id, &witness->problem))) {
        error_prefix(&witness->problem, "store %s", witness->store->location);
    }
}

/* *whole: the store has what the run sent; then *backup is it. *object is the caller's to clear. */
static bool ask(struct store *store, const struct history_row *row, struct object *object,
                struct backup_object *backup, bool *whole, struct error *err)
{
    bool found = false;

    *whole = false;
    if (!store_head(store, row->name, object, &found, err)) {
        return false;
    }
    if (!found || !backup_object_has_run(object, row->run_id)) {
        return true;
    }
    return sent_backup_examine(store, object, row->run_id, backup, whole, err);
}

/* The first store that has it is enough: the run was published (DESIGN, "Several stores"), and
 * where it is not the next step of the tick copies it. */
static bool find_published(struct session *session, struct witness *witnesses, size_t count,
                           const struct history_row *row, bool *adopted, struct error *err)
{
    bool ok = true;

    *adopted = false;
    for (size_t i = 0; ok && !*adopted && i < count; i++) {
        struct witness *witness = &witnesses[i];
        struct object object = OBJECT_INIT;
        struct backup_object backup = {.object = NULL};
        if (witness->problem.kind == ERROR_NONE &&
            !ask(witness->store, row, &object, &backup, adopted, &witness->problem)) {
            *adopted = false;
            error_prefix(&witness->problem, "store %s", witness->store->location);
        }
        ok = !*adopted || adopt(session, &backup, err);
        object_clear(&object);
    }
    return ok;
}

/* A store that cannot tell may have it. */
static bool conclude_unpublished(struct session *session, struct witness *witnesses, size_t count,
                                 const struct history_row *row, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        struct witness *witness = &witnesses[i];
        if (witness->problem.kind != ERROR_NONE) {
            *err = witness->problem;
            return false;
        }
        if (!manifest_remove(witness->store, row->name, row->run_id, err)) {
            return error_prefix(err, "store %s", witness->store->location);
        }
    }
    return mark_interrupted(session, row, err);
}

/* With the schedule's lock held: the run is dead. What its stores say decides. */
static bool settle(struct session *session, struct witness *witnesses, size_t count,
                   const struct history_row *row, struct error *err)
{
    bool adopted = false;

    for (size_t i = 0; i < count; i++) {
        discard(session, &witnesses[i], row);
    }
    return find_published(session, witnesses, count, row, &adopted, err) &&
           (adopted || conclude_unpublished(session, witnesses, count, row, err));
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

static void open_witness(struct store_pool *stores, const char *location, struct witness *out)
{
    struct store_choice configured = {.count = 0};

    *out = (struct witness){.problem = ERROR_INIT};
    /* Where none is recorded it was the one that the settings say. */
    bool ok = location != NULL ? store_pool_get(stores, location, &out->store, &out->problem)
                               : store_pool_choose(stores, NULL, &configured, &out->problem);
    if (ok && location == NULL) {
        out->store = configured.stores[0];
    }
    store_choice_clear(&configured);
    if (!ok) {
        error_prefix(&out->problem, "its store is %s",
                     location != NULL ? location : "not recorded");
    }
}

/* Only the stores of the run can tell what became of it. Those of a run with one store stand in no
 * other table. */
static bool settle_with_stores(struct session *session, struct store_pool *stores,
                               const struct history_row *row, struct error *err)
{
    struct copy_rows copies;
    size_t count = 0;

    if (!backup_copies_read_run(session, row->run_id, &copies, err)) {
        return false;
    }
    struct witness *witnesses = calloc(copies.count + 1, sizeof(*witnesses));
    bool ok = witnesses != NULL ? true : error_set_memory(err);
    for (size_t i = 0; ok && i < copies.count; i++) {
        if (copies.items[i].required) {
            open_witness(stores, copies.items[i].store, &witnesses[count++]);
        }
    }
    if (ok && count == 0) {
        open_witness(stores, row->store, &witnesses[count++]);
    }
    ok = ok && settle(session, witnesses, count, row, err);
    free(witnesses);
    backup_copies_clear(&copies);
    return ok;
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
             (copied || settle_with_stores(session, stores, row, err));
    }
    if (taken) {
        advisory_lock_release(session, row->schedule_id);
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
    bool ok = session_open(session, &ledger, err) && history_rows_read_started(ledger, &rows, err);
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
            error_hint(&problem, "if they have changed, run check once with the settings of that "
                                 "run");
            log_warning("run_unresolved", "What became of backup %s could not be found out: %s",
                        rows.items[i].name, problem.text);
        }
    }
    history_rows_clear(&rows);
    return ok;
}
