#include "retention/retention.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_MS       (INT64_C(24) * 3600 * 1000)
#define DAYS_MOST    INT64_C(1000000)
#define MINIMUM_MOST INT64_C(1000000)

static bool check_policy(const struct retention_policy *policy, struct error *err)
{
    if (policy->schedule_id[0] == '\0') {
        /* It would match the backups that belong to no schedule. */
        return error_set(err, ERROR_CONFIG, "retention without a schedule");
    }
    if (policy->retention_days < 1 || policy->retention_days > DAYS_MOST) {
        error_set(err, ERROR_CONFIG,
                  "retention_days = %" PRId64 " of schedule %s is not between 1 and %" PRId64,
                  policy->retention_days, policy->schedule_id, DAYS_MOST);
        return error_hint(err, "nothing is deleted until it is corrected");
    }
    if (policy->keep_min < 1 || policy->keep_min > MINIMUM_MOST) {
        return error_set(err, ERROR_CONFIG,
                         "the number of backups to keep, %" PRId64
                         ", is not between 1 and %" PRId64,
                         policy->keep_min, MINIMUM_MOST);
    }
    return keep_rules_check(&policy->keep, err) ||
           error_prefix(err, "schedule %s", policy->schedule_id);
}

static bool belongs(const struct backup_object *backup, const struct retention_policy *policy)
{
    if (backup->legacy) {
        return policy->is_default;
    }
    return strcmp(backup->facts.schedule_id, policy->schedule_id) == 0 &&
           strcmp(backup->facts.ledger, policy->ledger) == 0 &&
           strcmp(backup->facts.system, policy->system) == 0;
}

/* What can be said about a backup without looking at the others. */
static enum retention_reason judge_alone(const struct backup_object *backup,
                                         const struct retention_policy *policy)
{
    if (!backup->legacy && backup->facts.schedule_id[0] == '\0') {
        return RETENTION_KEEP_MANUAL_OTHER;
    }
    if (!belongs(backup, policy)) {
        return RETENTION_KEEP_FOREIGN;
    }
    if (backup->begun_ms > policy->now_ms) {
        return RETENTION_KEEP_FUTURE;
    }
    if (policy->now_ms - backup->begun_ms <= policy->retention_days * DAY_MS) {
        return RETENTION_KEEP_YOUNG;
    }
    return RETENTION_DELETE_EXPIRED;
}

/* What a backup holds. A schedule may be turned to another database, server or set of schemas, and
 * the newer backups of one do not stand for those of another. */
struct content {
    const char *database;
    const char *source;
    const char *schemas;
};

/* The old service backed up the database that it kept its ledger in. Where the metadata do not name
 * a server, it is the ledger's. */
static struct content content_of(const struct backup_object *backup, const char *ledger,
                                 const char *system)
{
    const struct backup_facts *facts = &backup->facts;

    return (struct content){
        .database = backup->legacy ? ledger : facts->database,
        .source = facts->source[0] != '\0' ? facts->source : system,
        .schemas = facts->schemas,
    };
}

static int compare_contents(const struct content *one, const struct content *other)
{
    int order = strcmp(one->database, other->database);

    if (order == 0) {
        order = strcmp(one->source, other->source);
    }
    return order != 0 ? order : strcmp(one->schemas, other->schemas);
}

/* A backup that counts. */
struct counted {
    struct content content;
    int64_t begun_ms;
    enum retention_proof proof;
    size_t index; /* among all backups */
};

static int compare_newest_first(const void *left, const void *right)
{
    const struct counted *one = left;
    const struct counted *other = right;
    int order = compare_contents(&one->content, &other->content);

    if (order != 0) {
        return order;
    }
    return one->begun_ms < other->begun_ms ? 1 : one->begun_ms > other->begun_ms ? -1 : 0;
}

static struct counted counted_as(const struct retention_backups *backups, size_t index,
                                 const struct retention_policy *policy)
{
    return (struct counted){
        .content = content_of(&backups->items[index], policy->ledger, policy->system),
        .begun_ms = backups->items[index].begun_ms,
        .proof = backups->proofs[index],
        .index = index,
    };
}

/* True when fewer than keep_min good ones of the backups that count, of the same content, are
 * newer. One that failed its verification stands for nothing. */
static bool is_among_newest(const struct counted *newest_first, size_t count,
                            const struct counted *backup, int64_t keep_min)
{
    int64_t newer = 0;

    for (size_t i = 0; i < count && newer < keep_min; i++) {
        newer += newest_first[i].begun_ms > backup->begun_ms &&
                 newest_first[i].proof != RETENTION_REFUTED &&
                 compare_contents(&newest_first[i].content, &backup->content) == 0;
    }
    return newer < keep_min;
}

static bool is_newest_verified(const struct counted *newest_first, size_t count,
                               const struct counted *backup)
{
    if (backup->proof != RETENTION_VERIFIED) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (newest_first[i].proof == RETENTION_VERIFIED &&
            newest_first[i].begun_ms > backup->begun_ms &&
            compare_contents(&newest_first[i].content, &backup->content) == 0) {
            return false;
        }
    }
    return true;
}

/* Those of one content stand together. One that failed its verification stands for no day. */
static void apply_rules(const struct counted *newest_first, size_t count,
                        const struct keep_rules *rules, struct retention_decision *decisions)
{
    struct keep_walk walk = {.rules = {{0}}};

    for (size_t i = 0; i < count; i++) {
        if (i > 0 &&
            compare_contents(&newest_first[i - 1].content, &newest_first[i].content) != 0) {
            walk = (struct keep_walk){.rules = {{0}}};
        }
        if (newest_first[i].proof != RETENTION_REFUTED) {
            decisions[newest_first[i].index].kept_by =
                keep_walk_next(&walk, rules, newest_first[i].begun_ms);
        }
    }
}

/* Of one that is older than retention_days, and that no rule keeps. */
static enum retention_reason judge_among(const struct counted *newest_first, size_t count,
                                         const struct counted *backup, int64_t keep_min)
{
    if (is_among_newest(newest_first, count, backup, keep_min)) {
        return RETENTION_KEEP_MINIMUM;
    }
    return is_newest_verified(newest_first, count, backup) ? RETENTION_KEEP_VERIFIED
                                                           : RETENTION_DELETE_EXPIRED;
}

bool retention_plan(const struct retention_backups *backups, const struct retention_policy *policy,
                    struct retention_decision *decisions, struct error *err)
{
    size_t counted = 0;

    if (!check_policy(policy, err)) {
        return false;
    }
    if (backups->count == 0) {
        return true;
    }
    struct counted *newest_first = calloc(backups->count, sizeof(*newest_first));
    if (newest_first == NULL) {
        return error_set_memory(err);
    }
    for (size_t i = 0; i < backups->count; i++) {
        const struct backup_object *backup = &backups->items[i];
        enum retention_reason reason = judge_alone(backup, policy);
        decisions[i] = (struct retention_decision){
            .reason = reason, .age_days = (policy->now_ms - backup->begun_ms) / DAY_MS};
        if (reason == RETENTION_KEEP_YOUNG || reason == RETENTION_DELETE_EXPIRED) {
            newest_first[counted++] = counted_as(backups, i, policy);
        }
    }
    qsort(newest_first, counted, sizeof(*newest_first), compare_newest_first);
    apply_rules(newest_first, counted, &policy->keep, decisions);
    for (size_t i = 0; i < backups->count; i++) {
        if (decisions[i].reason != RETENTION_DELETE_EXPIRED) {
            continue;
        }
        struct counted backup = counted_as(backups, i, policy);
        decisions[i].reason = decisions[i].kept_by != 0
                                  ? RETENTION_KEEP_RULE
                                  : judge_among(newest_first, counted, &backup, policy->keep_min);
        decisions[i].delete = decisions[i].reason == RETENTION_DELETE_EXPIRED;
    }
    free(newest_first);
    return true;
}

void retention_format(char out[RETENTION_TEXT_SIZE], const struct retention_decision *decision,
                      const struct retention_policy *policy)
{
    const char *days = policy->retention_days == 1 ? "day" : "days";

    switch (decision->reason) {
    case RETENTION_KEEP_YOUNG:
        snprintf(out, RETENTION_TEXT_SIZE, "not older than %" PRId64 " %s", policy->retention_days,
                 days);
        return;
    case RETENTION_KEEP_RULE:
        keep_rules_format(out, &policy->keep, decision->kept_by);
        return;
    case RETENTION_KEEP_MINIMUM:
        if (policy->keep_min == 1) {
            snprintf(out, RETENTION_TEXT_SIZE, "the newest one");
        } else {
            snprintf(out, RETENTION_TEXT_SIZE, "one of the newest %" PRId64, policy->keep_min);
        }
        return;
    case RETENTION_KEEP_VERIFIED:
        snprintf(out, RETENTION_TEXT_SIZE, "the newest verified one");
        return;
    case RETENTION_KEEP_FOREIGN:
        snprintf(out, RETENTION_TEXT_SIZE, "another schedule's, database's or server's");
        return;
    case RETENTION_KEEP_MANUAL_OTHER:
        snprintf(out, RETENTION_TEXT_SIZE, "belongs to no schedule");
        return;
    case RETENTION_KEEP_FUTURE:
        snprintf(out, RETENTION_TEXT_SIZE, "dated after the database server's clock");
        return;
    case RETENTION_DELETE_EXPIRED:
        snprintf(out, RETENTION_TEXT_SIZE, "older than %" PRId64 " %s", policy->retention_days,
                 days);
        return;
    }
    out[0] = '\0';
}

static bool are_siblings(const struct backup_object *one, const struct backup_object *other)
{
    if (one->legacy || other->legacy) {
        return one->legacy && other->legacy;
    }
    struct content left = content_of(one, one->facts.ledger, one->facts.system);
    struct content right = content_of(other, other->facts.ledger, other->facts.system);
    return compare_contents(&left, &right) == 0 &&
           strcmp(one->facts.schedule_id, other->facts.schedule_id) == 0 &&
           strcmp(one->facts.ledger, other->facts.ledger) == 0 &&
           strcmp(one->facts.system, other->facts.system) == 0;
}

int64_t retention_left_ms(int64_t retention_days, int64_t age_ms)
{
    int64_t left_ms = (retention_days < DAYS_MOST ? retention_days : DAYS_MOST) * DAY_MS - age_ms;

    return left_ms > 0 ? left_ms : 0;
}

bool retention_is_last(const struct backup_object *backups, size_t count, size_t index)
{
    for (size_t i = 0; i < count; i++) {
        if (i != index && are_siblings(&backups[i], &backups[index])) {
            return false;
        }
    }
    return true;
}
