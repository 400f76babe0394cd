#include "backup/copy_attempt.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/stop.h"
#include "base/text.h"
#include "postgres/advisory_lock.h"
#include "retention/retention.h"
#include "schedule/used_store.h"
#include "store/backup_copy.h"
#include "store/manifest.h"
#include "store/sent_backup.h"

#define KEY_SIZE 64

struct copy_attempt {
    const struct settings *settings;
    const struct session_options *ledger;
    struct store_pool *stores;
    struct copy_row row; /* its own, as far as it is used */
    /* Of its schedule. */
    bool has_schedule;
    char *urls; /* or NULL: the settings' */
    int64_t retention_days;
    int64_t now_ms;

    struct session *session; /* holds the lock */
    char key[KEY_SIZE];
    struct copy_rows copies; /* of the same run */
    struct store *target;
    atomic_bool is_unwanted; /* its schedule does not name the store any more */
    atomic_bool given_up;
    bool ok; /* how it ended, or why not: */
    struct error failure;
};

/* An upload_permit. */
static bool may_publish(void *context, struct error *err)
{
    struct copy_attempt *self = context;

    if (atomic_load(&self->given_up)) {
        return error_set(err, ERROR_FAILED, "it was given up, for it stood still for too long");
    }
    return advisory_lock_held(self->session, self->key, err) && stop_check(err);
}

static bool note(const struct copy_attempt *self, struct session *session, enum copy_state state,
                 struct error *err)
{
    const struct copy_note what = {
        .store = self->row.store, .required = self->row.required, .state = state};

    return backup_copies_note(session, self->row.run_id, &what, err);
}

/* With the options that its schedule's URL has, if that names the store still. */
static bool find_target(struct copy_attempt *self, struct error *err)
{
    struct store_choice choice = {.count = 0};
    bool ok = true;

    if (!self->row.run_failed && self->has_schedule) {
        ok = store_pool_choose(self->stores, self->urls, &choice, err);
    }
    for (size_t i = 0; ok && i < choice.count; i++) {
        if (strcmp(choice.stores[i]->location, self->row.store) == 0) {
            self->target = choice.stores[i];
        }
    }
    store_choice_clear(&choice);
    if (!ok || self->target != NULL) {
        return ok;
    }
    atomic_store(&self->is_unwanted, !self->row.run_failed);
    return store_pool_get(self->stores, self->row.store, &self->target, err);
}

/* *there: the target has it, as far as it can tell. What is there and is not what was sent goes. */
static bool look(const struct copy_attempt *self, bool *there, struct error *err)
{
    const struct copy_row *row = &self->row;
    struct object object = OBJECT_INIT;
    struct backup_object backup;
    bool found = false;
    bool ok = store_head(self->target, row->name, &object, &found, err);

    *there = false;
    if (ok && found && !backup_object_has_run(&object, row->run_id)) {
        ok = error_set(err, ERROR_FAILED, "an object of another run has its name there");
    } else if (ok && found) {
        ok = sent_backup_examine(self->target, &object, row->run_id, &backup, there, err);
    }
    object_clear(&object);
    return ok;
}

/* How long its schedule keeps it from now on. */
static int64_t retain_ms(const struct copy_attempt *self, const struct backup_object *backup)
{
    return self->has_schedule
               ? retention_left_ms(self->retention_days, self->now_ms - backup->begun_ms)
               : 0;
}

/* *has is false, without an error, when this store does not have it. */
static bool copy_from(struct copy_attempt *self, const struct copy_row *source, bool *has,
                      struct error *err)
{
    struct object object = OBJECT_INIT;
    struct backup_object backup;
    struct backup_copy copy = {
        .to = self->target,
        .backup = &backup,
        .parallel = (int)settings_get_number(self->settings, SETTING_UPLOADS),
        .permit = may_publish,
        .permit_context = self,
    };
    bool ok = store_pool_get(self->stores, source->store, &copy.from, err) &&
              store_head(copy.from, self->row.name, &object, has, err);

    *has = ok && *has && backup_object_has_run(&object, self->row.run_id);
    ok = ok && (!*has || sent_backup_parse(&object, &backup, err));
    *has = *has && ok;
    copy.retain_ms = *has ? retain_ms(self, &backup) : 0;
    ok = ok && (!*has || backup_copy_run(&copy, err));
    object_clear(&object);
    return ok;
}

static void tell_copied(const struct copy_attempt *self, const char *from)
{
    log_write(&LOG_WITH(LOG_INFO, LOG_MARK_OK, "backup_copied", LOG_TEXT("name", self->row.name),
                        LOG_TEXT("store", self->row.store), LOG_TEXT("from", from)),
              "Copied backup %s to %s from %s", self->row.name, self->row.store, from);
}

/* From the first store that has it and gives it. *had: one has it, or cannot tell. */
static bool copy_from_any(struct copy_attempt *self, bool *had, struct error *err)
{
    bool copied = false;

    *had = false;
    for (size_t i = 0; !copied && i < self->copies.count; i++) {
        const struct copy_row *source = &self->copies.items[i];
        struct error problem = ERROR_INIT;
        bool has = false;
        if (strcmp(source->store, self->row.store) == 0 || source->state == COPY_GONE ||
            source->state == COPY_DAMAGED) {
            continue;
        }
        copied = copy_from(self, source, &has, &problem) && has;
        *had = *had || has || problem.kind != ERROR_NONE;
        if (copied) {
            tell_copied(self, source->store);
        } else if (problem.kind != ERROR_NONE) {
            *err = problem;
        }
        if (problem.kind == ERROR_STOPPED) {
            break;
        }
    }
    return copied;
}

/* What the run, or an attempt to copy, may have left there, where there is no object of it. */
static bool clean(const struct copy_attempt *self, struct error *err)
{
    const struct copy_row *row = &self->row;

    return store_discard(self->target, row->name, row->run_id, err) &&
           manifest_remove(self->target, row->name, row->run_id, err) &&
           note(self, self->session, COPY_GONE, err);
}

static bool drop(const struct copy_attempt *self, const char *why, struct error *err)
{
    log_info(LOG_MARK_NOTE, "copy_not_wanted", "Backup %s is not copied to %s: %s", self->row.name,
             self->row.store, why);
    return clean(self, err) || error_prefix(err, "removing what may have been left of it");
}

static bool make(struct copy_attempt *self, struct error *err)
{
    bool there = false;
    bool had = false;

    if (!find_target(self, err) || !used_store_prepare(self->session, self->target, err)) {
        return false;
    }
    if (self->row.run_failed) {
        return clean(self, err);
    }
    if (!look(self, &there, err)) {
        return false;
    }
    if (there) {
        return note(self, self->session, COPY_STORED, err);
    }
    if (atomic_load(&self->is_unwanted)) {
        return drop(self, "its schedule names this store no more", err);
    }
    if (copy_from_any(self, &had, err)) {
        return note(self, self->session, COPY_STORED, err);
    }
    return had ? false : drop(self, "no store has it any more", err);
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

/* A store that is named no more may be gone for good: nobody is told of it again. */
bool copy_attempt_note_failed(const struct copy_attempt *attempt, struct session *session,
                              struct error *reason, struct error *err)
{
    const struct copy_row *row = &attempt->row;

    if (!atomic_load(&attempt->is_unwanted)) {
        return backup_copies_note_failed(session, row->run_id, row->store, reason->text, err);
    }
    error_hint(reason, "this is not tried again, for its schedule names the store no more; look "
                       "there for what may have been left of it");
    return note(attempt, session, COPY_GONE, err);
}

/* Noted first: a file system that hangs lets nobody note anything afterwards. */
static bool try_to_make(struct copy_attempt *self, struct error *err)
{
    return backup_copies_note_attempt(self->session, self->row.run_id, self->row.store, err) &&
           make(self, err) && backup_copies_note_answer(self->session, self->row.store, err);
}

/* With the lock held: it may have been made between our reading it and our having the lock. */
static bool make_if_due(struct copy_attempt *self, struct error *err)
{
    struct error problem = ERROR_INIT;

    if (!backup_copies_read_run(self->session, self->row.run_id, &self->copies, err)) {
        return false;
    }
    const struct copy_row *now = find(&self->copies, self->row.store);
    bool ok = now == NULL || (now->state != COPY_PENDING && now->state != COPY_MISSING) ||
              try_to_make(self, err);
    if (!ok && err->kind != ERROR_STOPPED &&
        !copy_attempt_note_failed(self, self->session, err, &problem)) {
        log_warning("ledger_not_written", "%s", problem.text);
    }
    backup_copies_clear(&self->copies);
    return ok;
}

bool copy_attempt_new(const struct copy_attempt_options *options, struct copy_attempt **out,
                      struct error *err)
{
    struct copy_attempt *self = calloc(1, sizeof(*self));
    const struct schedule *schedule =
        backup_schedule_find(options->schedules, options->row->schedule_id);

    if (self == NULL) {
        return error_set_memory(err);
    }
    self->settings = options->settings;
    self->ledger = options->ledger;
    self->stores = options->stores;
    self->row = *options->row;
    self->row.error = NULL;
    self->row.store = text_copy(options->row->store);
    self->now_ms = options->schedules->now_ms;
    if (schedule != NULL) {
        self->has_schedule = true;
        self->retention_days = schedule->retention_days;
        self->urls = schedule->stores != NULL ? text_copy(schedule->stores) : NULL;
    }
    snprintf(self->key, sizeof(self->key), "copy of %s", self->row.run_id);
    if (self->row.store == NULL ||
        (schedule != NULL && schedule->stores != NULL && self->urls == NULL)) {
        copy_attempt_free(self);
        return error_set_memory(err);
    }
    *out = self;
    return true;
}

void copy_attempt_run(void *attempt)
{
    struct copy_attempt *self = attempt;
    bool taken = false;

    self->ok = session_open(self->ledger, &self->session, &self->failure) &&
               advisory_lock_try(self->session, self->key, &taken, &self->failure) &&
               (!taken || make_if_due(self, &self->failure));
    if (taken) {
        advisory_lock_release(self->session, self->key);
    }
    session_close(self->session);
    self->session = NULL;
}

bool copy_attempt_result(const struct copy_attempt *attempt, struct error *err)
{
    if (!attempt->ok) {
        *err = attempt->failure;
    }
    return attempt->ok;
}

void copy_attempt_give_up(struct copy_attempt *attempt)
{
    atomic_store(&attempt->given_up, true);
}

void copy_attempt_free(struct copy_attempt *attempt)
{
    if (attempt != NULL) {
        free(attempt->row.store);
        free(attempt->urls);
        free(attempt);
    }
}
