#include "backup/copying.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/stop.h"
#include "base/text.h"
#include "base/wait.h"
#include "postgres/advisory_lock.h"
#include "postgres/backup_copies.h"
#include "retention/retention.h"
#include "schedule/used_store.h"
#include "store/backup_copy.h"
#include "store/manifest.h"
#include "store/sent_backup.h"

/* Of one tick. One that was begun is seen through. */
#define COPIES_MOST 16
#define COPYING_MS  (5 * 60 * 1000)
#define KEY_SIZE    64

/* One copy to be made. */
struct task {
    const struct copying *copying;
    struct session *session; /* holds the lock */
    char key[KEY_SIZE];
    const struct copy_row *row;
    struct copy_rows copies; /* of the same run */
    struct store *target;
};

/* An upload_permit. */
static bool may_publish(void *context, struct error *err)
{
    struct task *task = context;

    return advisory_lock_held(task->session, task->key, err) && stop_check(err);
}

static bool note(const struct task *task, enum copy_state state, struct error *err)
{
    const struct copy_note what = {
        .store = task->row->store, .required = task->row->required, .state = state};

    return backup_copies_note(task->session, task->row->run_id, &what, err);
}

/* Finds the target with the options that its schedule's URL has. *wanted is false when the schedule
 * is gone, or names this store no more. */
static bool is_wanted(struct task *task, bool *wanted, struct error *err)
{
    const struct copying *copying = task->copying;
    const struct schedule *schedule =
        backup_schedule_find(copying->schedules, task->row->schedule_id);
    struct store_choice choice = {.count = 0};

    *wanted = false;
    if (schedule == NULL) {
        return true;
    }
    bool ok = store_pool_choose(copying->stores, schedule->stores, &choice, err);
    for (size_t i = 0; ok && !*wanted && i < choice.count; i++) {
        *wanted = strcmp(choice.stores[i]->location, task->row->store) == 0;
        task->target = choice.stores[i];
    }
    store_choice_clear(&choice);
    return ok;
}

/* *there: the target has it, as far as it can tell. What is there and is not what was sent goes. */
static bool look(const struct task *task, bool *there, struct error *err)
{
    const struct copy_row *row = task->row;
    struct object object = OBJECT_INIT;
    struct backup_object backup;
    bool found = false;
    bool ok = store_head(task->target, row->name, &object, &found, err);

    *there = false;
    if (ok && found && !backup_object_has_run(&object, row->run_id)) {
        ok = error_set(err, ERROR_FAILED, "an object of another run has its name there");
    } else if (ok && found) {
        ok = sent_backup_examine(task->target, &object, row->run_id, &backup, there, err);
    }
    object_clear(&object);
    return ok;
}

/* How long its schedule keeps it from now on. */
static int64_t retain_ms(const struct task *task, const struct backup_object *backup)
{
    const struct schedules *schedules = task->copying->schedules;
    const struct schedule *schedule = backup_schedule_find(schedules, task->row->schedule_id);

    return schedule != NULL
               ? retention_left_ms(schedule->retention_days, schedules->now_ms - backup->begun_ms)
               : 0;
}

/* *has is false, without an error, when this store does not have it. */
static bool copy_from(struct task *task, const struct copy_row *source, bool *has,
                      struct error *err)
{
    struct object object = OBJECT_INIT;
    struct backup_object backup;
    struct backup_copy copy = {
        .to = task->target,
        .backup = &backup,
        .parallel = (int)settings_get_number(task->copying->settings, SETTING_UPLOADS),
        .permit = may_publish,
        .permit_context = task,
    };
    bool ok = store_pool_get(task->copying->stores, source->store, &copy.from, err) &&
              store_head(copy.from, task->row->name, &object, has, err);

    *has = ok && *has && backup_object_has_run(&object, task->row->run_id);
    ok = ok && (!*has || sent_backup_parse(&object, &backup, err));
    *has = *has && ok;
    copy.retain_ms = *has ? retain_ms(task, &backup) : 0;
    ok = ok && (!*has || backup_copy_run(&copy, err));
    object_clear(&object);
    return ok;
}

static void tell_copied(const struct task *task, const char *from)
{
    log_write(&LOG_WITH(LOG_INFO, LOG_MARK_OK, "backup_copied", LOG_TEXT("name", task->row->name),
                        LOG_TEXT("store", task->row->store), LOG_TEXT("from", from)),
              "Copied backup %s to %s from %s", task->row->name, task->row->store, from);
}

/* From the first store that has it and gives it. *had: one has it, or cannot tell. */
static bool copy_from_any(struct task *task, bool *had, struct error *err)
{
    bool copied = false;

    *had = false;
    for (size_t i = 0; !copied && i < task->copies.count; i++) {
        const struct copy_row *source = &task->copies.items[i];
        struct error problem = ERROR_INIT;
        bool has = false;
        if (strcmp(source->store, task->row->store) == 0 || source->state == COPY_GONE ||
            source->state == COPY_DAMAGED) {
            continue;
        }
        copied = copy_from(task, source, &has, &problem) && has;
        *had = *had || has || problem.kind != ERROR_NONE;
        if (copied) {
            tell_copied(task, source->store);
        } else if (problem.kind != ERROR_NONE) {
            *err = problem;
        }
        if (problem.kind == ERROR_STOPPED) {
            break;
        }
    }
    return copied;
}

static bool drop(const struct task *task, const char *why, struct error *err)
{
    log_info(LOG_MARK_NOTE, "copy_not_wanted", "Backup %s is not copied to %s: %s", task->row->name,
             task->row->store, why);
    return note(task, COPY_GONE, err);
}

/* What a run that failed may have left there. */
static bool clean(const struct task *task, struct error *err)
{
    const struct copy_row *row = task->row;

    return store_discard(task->target, row->name, row->run_id, err) &&
           manifest_remove(task->target, row->name, row->run_id, err) && note(task, COPY_GONE, err);
}

static bool make(struct task *task, struct error *err)
{
    const struct copy_row *row = task->row;
    bool wanted = true;
    bool there = false;
    bool had = false;

    if (!(row->run_failed ? store_pool_get(task->copying->stores, row->store, &task->target, err)
                          : is_wanted(task, &wanted, err))) {
        return false;
    }
    if (!wanted) {
        return drop(task, "its schedule names this store no more", err);
    }
    if (!used_store_prepare(task->session, task->target, err)) {
        return false;
    }
    if (row->run_failed) {
        return clean(task, err);
    }
    if (!look(task, &there, err)) {
        return false;
    }
    if (there || copy_from_any(task, &had, err)) {
        return note(task, COPY_STORED, err);
    }
    return had ? false : drop(task, "no store has it any more", err);
}

static const struct copy_row *find(const struct copy_rows *copies, const char *store)
{
    for (size_t i = 0; i < copies->count; i++) {
        if (strcmp(copies->items[i].store, store) == 0) {
            return &copies->items[i];
        }
    }
    return NULL;
}

/* Noted first: a file system that hangs lets nobody note anything afterwards. */
static bool try_to_make(struct task *task, struct error *err)
{
    return backup_copies_note_attempt(task->session, task->row->run_id, task->row->store, err) &&
           make(task, err) && backup_copies_note_answer(task->session, task->row->store, err);
}

/* With the lock held: it may have been made between our reading it and our having the lock. */
static bool make_if_due(struct task *task, struct error *err)
{
    struct error problem = ERROR_INIT;

    if (!backup_copies_read_run(task->session, task->row->run_id, &task->copies, err)) {
        return false;
    }
    const struct copy_row *now = find(&task->copies, task->row->store);
    bool ok = now == NULL || (now->state != COPY_PENDING && now->state != COPY_MISSING) ||
              try_to_make(task, err);
    if (!ok && err->kind != ERROR_STOPPED &&
        !backup_copies_note_failed(task->session, task->row->run_id, task->row->store, err->text,
                                   &problem)) {
        log_warning("ledger_not_written", "%s", problem.text);
    }
    backup_copies_clear(&task->copies);
    return ok;
}

static bool run_one(const struct copying *copying, const struct copy_row *row, struct error *err)
{
    struct task task = {.copying = copying, .row = row};
    bool taken = false;

    snprintf(task.key, sizeof(task.key), "copy of %s", row->run_id);
    bool ok = session_open(copying->session, &task.session, err) &&
              advisory_lock_try(task.session, task.key, &taken, err) &&
              (!taken || make_if_due(&task, err));
    session_close(task.session);
    return ok;
}

static bool read_due(const struct copying *copying, struct copy_rows *rows, struct error *err)
{
    struct session *session = NULL;
    bool ok = session_open(copying->session, &session, err) &&
              backup_copies_read_due(session, COPIES_MOST, rows, err);

    session_close(session);
    return ok;
}

/* What hangs or refuses for one copy does so for the next one, too. */
static bool has_failed(const struct copy_rows *rows, const bool failed[], size_t before)
{
    for (size_t i = 0; i < before; i++) {
        if (failed[i] && strcmp(rows->items[i].store, rows->items[before].store) == 0) {
            return true;
        }
    }
    return false;
}

bool copying_run(const struct copying *copying, size_t *failed, struct error *err)
{
    struct copy_rows rows = {.items = NULL};
    struct deadline end = deadline_in_ms(COPYING_MS);
    bool failures[COPIES_MOST] = {false};

    *failed = 0;
    bool ok = read_due(copying, &rows, err);
    for (size_t i = 0; ok && i < rows.count && deadline_left_ms(&end) > 0; i++) {
        struct error problem = ERROR_INIT;
        if (has_failed(&rows, failures, i) || run_one(copying, &rows.items[i], &problem)) {
            continue;
        }
        if (problem.kind == ERROR_STOPPED) {
            *err = problem;
            ok = false;
            break;
        }
        failures[i] = true;
        ++*failed;
        log_warning("copy_failed", "Backup %s could not be copied to %s: %s", rows.items[i].name,
                    rows.items[i].store, problem.text);
    }
    backup_copies_clear(&rows);
    return ok;
}
