#include "backup/prune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup/orphan_manifests.h"
#include "base/log.h"
#include "base/stop.h"
#include "postgres/backup_copies.h"
#include "postgres/verification.h"
#include "store/manifest.h"

const char *prune_fate_name(enum prune_fate fate)
{
    static const char *const names[] = {
        [PRUNE_KEPT] = "keep",           [PRUNE_TO_DELETE] = "delete",
        [PRUNE_DELETED] = "deleted",     [PRUNE_GONE] = "gone",
        [PRUNE_IMMUTABLE] = "protected", [PRUNE_CHANGED] = "changed",
        [PRUNE_NOT_DELETED] = "failed",
    };

    return names[fate];
}

static int newest_first(const void *left, const void *right)
{
    const struct prune_item *a = left;
    const struct prune_item *b = right;

    if (a->backup.begun_ms != b->backup.begun_ms) {
        return a->backup.begun_ms < b->backup.begun_ms ? 1 : -1;
    }
    return strcmp(a->backup.object->name, b->backup.object->name);
}

bool prune_list(struct store *store, struct prune_plan *out, struct error *err)
{
    *out = (struct prune_plan){.items = NULL};
    if (!store_list(store, BACKUP_NAME_PREFIX, &out->objects, err)) {
        return error_prefix(err, "listing the backups in %s", store->location);
    }
    out->items = calloc(out->objects.count + 1, sizeof(*out->items));
    if (out->items == NULL) {
        prune_clear(out);
        return error_set_memory(err);
    }
    for (size_t i = 0; i < out->objects.count; i++) {
        const struct object *object = &out->objects.items[i];
        int64_t begun_ms;
        if (backup_object_parse(object, &out->items[out->count].backup)) {
            out->count++;
        } else if (backup_name_parse(object->name, &begun_ms)) {
            out->not_whole++;
            log_warning("not_a_backup",
                        "%s has a backup's name but is not whole (its length or its metadata are "
                        "not a backup's): not counted, and not touched",
                        object->name);
        }
    }
    qsort(out->items, out->count, sizeof(*out->items), newest_first);
    out->listed = true;
    return true;
}

/* Nothing is concluded from a row that is wrong. */
static void keep_all_of(const struct schedule *schedule, struct prune_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct prune_item *item = &plan->items[i];
        if (item->backup.legacy ? schedule->is_default
                                : strcmp(item->backup.facts.schedule_id, schedule->id) == 0) {
            snprintf(item->reason, sizeof(item->reason), "its schedule is wrong: %.96s",
                     schedule->problem);
        }
    }
}

/* With the clock pretended to be later: not made under that pretence. */
static bool is_real(const struct prune_request *request, int64_t now_ms,
                    const struct backup_object *backup)
{
    return request->clock_shift_ms > 0 && backup->begun_ms <= now_ms - request->clock_shift_ms;
}

static bool decide_for(const struct prune_request *request, const struct schedule *schedule,
                       const struct retention_backups *backups,
                       struct retention_decision *decisions, struct prune_plan *plan,
                       struct error *err)
{
    int64_t now_ms = request->schedules->now_ms;
    struct retention_policy policy = {
        .schedule_id = schedule->id,
        .ledger = request->ledger->database,
        .system = request->ledger->system,
        .is_default = schedule->is_default,
        .retention_days = schedule->retention_days,
        .keep_min = request->keep_min,
        .keep = {{[KEEP_LAST] = schedule->keep_last,
                  [KEEP_DAILY] = schedule->keep_daily,
                  [KEEP_WEEKLY] = schedule->keep_weekly,
                  [KEEP_MONTHLY] = schedule->keep_monthly,
                  [KEEP_YEARLY] = schedule->keep_yearly}},
        .now_ms = now_ms,
    };

    if (schedule->problem[0] != '\0') {
        keep_all_of(schedule, plan);
        return true;
    }
    if (!retention_plan(backups, &policy, decisions, err)) {
        return false;
    }
    for (size_t i = 0; i < plan->count; i++) {
        if (decisions[i].reason == RETENTION_KEEP_FOREIGN ||
            decisions[i].reason == RETENTION_KEEP_MANUAL_OTHER) {
            continue;
        }
        if (decisions[i].delete &&is_real(request, now_ms, &backups->items[i])) {
            snprintf(plan->items[i].reason, sizeof(plan->items[i].reason),
                     "made in real time, while now is pretended");
            continue;
        }
        plan->items[i].fate = decisions[i].delete ? PRUNE_TO_DELETE : PRUNE_KEPT;
        retention_format(plan->items[i].reason, &decisions[i], &policy);
    }
    return true;
}

static enum retention_proof proof_of(enum verification_outcome outcome)
{
    switch (outcome) {
    case VERIFICATION_GOOD:
        return RETENTION_VERIFIED;
    case VERIFICATION_FAILED:
        return RETENTION_REFUTED;
    case VERIFICATION_NONE:
        break;
    }
    return RETENTION_UNPROVEN;
}

/* What the ledger says. It is asked after the listing: what is verified meanwhile counts. */
static bool read_proofs(struct session *session, const struct backup_object *backups, size_t count,
                        enum retention_proof *proofs, struct error *err)
{
    struct verified_backup *asked = calloc(count + 1, sizeof(*asked));
    enum verification_outcome *outcomes = calloc(count + 1, sizeof(*outcomes));
    bool ok = asked != NULL && outcomes != NULL ? true : error_set_memory(err);

    for (size_t i = 0; ok && i < count; i++) {
        asked[i] = (struct verified_backup){backups[i].object->name, backups[i].facts.run_id};
    }
    ok = ok && verification_read(session, asked, count, outcomes, err);
    for (size_t i = 0; ok && i < count; i++) {
        proofs[i] = proof_of(outcomes[i]);
    }
    free(asked);
    free(outcomes);
    return ok;
}

/* A verification may have found the copy in this store to be bad, and another one good. */
static bool refute_damaged(struct session *session, const char *location,
                           const struct backup_object *backups, size_t count,
                           enum retention_proof *proofs, struct error *err)
{
    struct copy_rows damaged;

    if (!backup_copies_read_damaged(session, location, &damaged, err)) {
        return false;
    }
    for (size_t row = 0; row < damaged.count; row++) {
        for (size_t i = 0; i < count; i++) {
            if (strcmp(backups[i].facts.run_id, damaged.items[row].run_id) == 0) {
                proofs[i] = RETENTION_REFUTED;
            }
        }
    }
    backup_copies_clear(&damaged);
    return true;
}

static bool decide_all(const struct prune_request *request, const struct retention_backups *backups,
                       struct retention_decision *decisions, struct prune_plan *plan,
                       struct error *err)
{
    bool ok = true;

    for (size_t i = 0; ok && i < request->schedules->count; i++) {
        const struct schedule *schedule = &request->schedules->items[i];
        if (request->schedule_id == NULL || strcmp(schedule->id, request->schedule_id) == 0) {
            ok = decide_for(request, schedule, backups, decisions, plan, err);
        }
    }
    return ok;
}

bool prune_decide(const struct prune_request *request, struct prune_plan *out, struct error *err)
{
    if (!prune_list(request->store, out, err)) {
        return false;
    }
    struct backup_object *items = calloc(out->count + 1, sizeof(*items));
    enum retention_proof *proofs = calloc(out->count + 1, sizeof(*proofs));
    struct retention_decision *decisions = calloc(out->count + 1, sizeof(*decisions));
    struct retention_backups backups = {items, proofs, out->count};
    bool ok = items != NULL && proofs != NULL && decisions != NULL ? true : error_set_memory(err);
    for (size_t i = 0; ok && i < out->count; i++) {
        items[i] = out->items[i].backup;
        snprintf(out->items[i].reason, sizeof(out->items[i].reason),
                 "belongs to no schedule of this database");
    }
    ok = ok && read_proofs(request->session, items, out->count, proofs, err) &&
         refute_damaged(request->session, request->store->location, items, out->count, proofs,
                        err) &&
         decide_all(request, &backups, decisions, out, err) &&
         orphan_manifests_find(&out->objects, request->ledger,
                               request->schedules->now_ms - request->clock_shift_ms, &out->orphans,
                               &out->orphan_count, err);
    free(items);
    free(proofs);
    free(decisions);
    if (!ok) {
        prune_clear(out);
    }
    return ok;
}

/* The last one, were everything that is marked already gone. */
static bool is_last(const struct prune_plan *plan, size_t index, bool *last, struct error *err)
{
    struct backup_object *left = calloc(plan->count, sizeof(*left));
    size_t count = 0;
    size_t position = 0;

    if (left == NULL) {
        return error_set_memory(err);
    }
    for (size_t i = 0; i < plan->count; i++) {
        if (i == index) {
            position = count;
        }
        if (i == index || plan->items[i].fate == PRUNE_KEPT) {
            left[count++] = plan->items[i].backup;
        }
    }
    *last = retention_is_last(left, count, position);
    free(left);
    return true;
}

/* The plan's count when there is none. */
static size_t find(const struct prune_plan *plan, const char *name)
{
    size_t index = 0;

    while (index < plan->count && strcmp(plan->items[index].backup.object->name, name) != 0) {
        index++;
    }
    return index;
}

bool prune_has(const struct prune_plan *plan, const char *name)
{
    return find(plan, name) < plan->count;
}

bool prune_has_copy(const struct prune_plan *plan, const struct backup_object *backup)
{
    const struct prune_item key = {.backup = *backup};
    const struct prune_item *found =
        plan->count > 0 ? bsearch(&key, plan->items, plan->count, sizeof(key), newest_first) : NULL;

    return found != NULL && strcmp(found->backup.facts.run_id, backup->facts.run_id) == 0;
}

bool prune_name(struct prune_plan *plan, const char *name, bool force, struct error *err)
{
    size_t index = find(plan, name);
    bool last = false;

    struct prune_item *item = &plan->items[index];
    if (!force && !is_last(plan, index, &last, err)) {
        return false;
    }
    if (last) {
        error_set(err, ERROR_USAGE,
                  "%s would be the last backup of its schedule to go; nothing was deleted", name);
        return error_hint(err, "give --force to delete it all the same");
    }
    item->fate = PRUNE_TO_DELETE;
    snprintf(item->reason, sizeof(item->reason), "named");
    return true;
}

void prune_keep_named(struct prune_plan *plan)
{
    size_t kept = 0;

    for (size_t i = 0; i < plan->count; i++) {
        if (plan->items[i].fate == PRUNE_TO_DELETE) {
            plan->items[kept++] = plan->items[i];
        }
    }
    plan->count = kept;
}

static enum prune_fate fate_of(enum store_removal removal)
{
    switch (removal) {
    case STORE_REMOVED:
        return PRUNE_DELETED;
    case STORE_WAS_GONE:
        return PRUNE_GONE;
    case STORE_CHANGED:
        return PRUNE_CHANGED;
    case STORE_IMMUTABLE:
        return PRUNE_IMMUTABLE;
    }
    return PRUNE_NOT_DELETED;
}

static void tell(const struct prune_item *item)
{
    const char *name = item->backup.object->name;

    switch (item->fate) {
    case PRUNE_DELETED:
        log_write(&LOG_WITH(LOG_INFO, LOG_MARK_PRUNE, "backup_deleted", LOG_TEXT("name", name),
                            LOG_TEXT("reason", item->reason)),
                  "Deleted backup %s: %s", name, item->reason);
        break;
    case PRUNE_IMMUTABLE:
        log_write(&LOG_WITH(LOG_INFO, LOG_MARK_NOTE, "backup_protected", LOG_TEXT("name", name)),
                  "Backup %s is protected by the store (immutability policy or legal hold) and was "
                  "passed over",
                  name);
        break;
    case PRUNE_KEPT:
    case PRUNE_TO_DELETE:
    case PRUNE_GONE:
    case PRUNE_CHANGED:
    case PRUNE_NOT_DELETED:
        break;
    }
}

/* They do no harm where they stay. */
static void remove_orphans(struct store *store, const struct prune_plan *plan)
{
    for (size_t i = 0; i < plan->orphan_count && stop_signal() == 0; i++) {
        enum store_removal removal;
        struct error problem = ERROR_INIT;
        if (!store_remove(store, plan->orphans[i], &removal, &problem)) {
            log_warning("manifest_not_removed", "%s, which has no backup: %s",
                        plan->orphans[i]->name, problem.text);
        }
    }
}

/* False when it is still there, or another object under its name; the store's protection is no
 * failure. */
static bool delete_one(struct store *store, struct prune_item *item, struct error *err)
{
    enum store_removal removal;

    if (!manifest_remove_backup(store, item->backup.object, &removal, err)) {
        item->fate = PRUNE_NOT_DELETED;
        return false;
    }
    item->fate = fate_of(removal);
    tell(item);
    if (item->fate == PRUNE_CHANGED) {
        error_set(err, ERROR_DEGRADED, "it is not the object that was listed, and was left alone");
        return error_hint(err, "the next prune judges what is there now ('rythm-backup list')");
    }
    return true;
}

bool prune_apply(struct store *store, struct prune_plan *plan, struct error *err)
{
    struct error first = ERROR_INIT;

    for (size_t left = plan->count; left > 0; left--) {
        struct prune_item *item = &plan->items[left - 1];
        struct error problem = ERROR_INIT;
        if (item->fate != PRUNE_TO_DELETE) {
            continue;
        }
        if (!stop_check(err)) {
            return error_prefix(err, "deleting expired backups");
        }
        if (delete_one(store, item, &problem)) {
            plan->deleted += item->fate == PRUNE_DELETED;
            continue;
        }
        if (plan->failed++ == 0) {
            first = problem;
        }
        log_warning("backup_not_deleted", "Backup %s could not be deleted: %s",
                    item->backup.object->name, problem.text);
    }
    remove_orphans(store, plan);
    if (plan->failed == 0) {
        return true;
    }
    return error_set(err, first.kind == ERROR_STOPPED ? ERROR_STOPPED : ERROR_DEGRADED,
                     "%zu backup(s) could not be deleted; the first: %s", plan->failed, first.text);
}

void prune_clear(struct prune_plan *plan)
{
    free(plan->items);
    free(plan->orphans);
    objects_clear(&plan->objects);
    *plan = (struct prune_plan){.items = NULL};
}
