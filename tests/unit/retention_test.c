/*
 * Retention (invariant I6): cases by hand, and random lists against a naive model written from the
 * invariant's words alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "retention/retention.h"

#define DAY_MS  INT64_C(86400000)
#define NOW_MS  INT64_C(1750000000000)
#define OURS    "11111111-1111-4111-8111-111111111111"
#define ANOTHER "22222222-2222-4222-8222-222222222222"
#define SYSTEM  "7300000000000000001"
/* Of what a backup may hold. */
#define ELSEWHERE "7300000000000000002"
#define PARTS     "0123456789abcdef"

static const struct retention_policy usual = {.schedule_id = OURS,
                                              .ledger = "rythm",
                                              .system = SYSTEM,
                                              .is_default = false,
                                              .retention_days = 30,
                                              .keep_min = 3,
                                              .now_ms = NOW_MS};

static struct backup_object backup(const char *schedule, const char *database, int64_t age_ms)
{
    struct backup_object result = {.begun_ms = NOW_MS - age_ms};

    snprintf(result.facts.schedule_id, sizeof(result.facts.schedule_id), "%s", schedule);
    snprintf(result.facts.database, sizeof(result.facts.database), "%s", database);
    snprintf(result.facts.ledger, sizeof(result.facts.ledger), "rythm");
    snprintf(result.facts.system, sizeof(result.facts.system), SYSTEM);
    snprintf(result.facts.type, sizeof(result.facts.type), "scheduled");
    return result;
}

/* Of a schedule with our id in the database `ledger` of the server `system`. */
static struct backup_object of_ledger(const char *ledger, const char *system, int64_t age_ms)
{
    struct backup_object result = backup(OURS, "rythm", age_ms);

    snprintf(result.facts.ledger, sizeof(result.facts.ledger), "%s", ledger);
    snprintf(result.facts.system, sizeof(result.facts.system), "%s", system);
    return result;
}

/* Of our database by name: the one on the server `source`, and only of these schemas. */
static struct backup_object of_content(const char *source, const char *schemas, int64_t age_ms)
{
    struct backup_object result = backup(OURS, "rythm", age_ms);

    snprintf(result.facts.source, sizeof(result.facts.source), "%s", source);
    snprintf(result.facts.schemas, sizeof(result.facts.schemas), "%s", schemas);
    return result;
}

static struct backup_object ours(int64_t age_ms)
{
    return backup(OURS, "rythm", age_ms);
}

static struct backup_object legacy(int64_t age_ms)
{
    return (struct backup_object){.begun_ms = NOW_MS - age_ms, .legacy = true};
}

#define HERE_MOST 16

/* None of them was ever verified. */
static const enum retention_proof unproven[HERE_MOST];

static void check_proven(const struct backup_object *backups, const enum retention_proof *proofs,
                         size_t count, const struct retention_policy *policy,
                         const enum retention_reason *expected)
{
    struct retention_backups listed = {backups, proofs, count};
    struct retention_decision decisions[HERE_MOST];
    struct error err = ERROR_INIT;

    assert_true(count <= HERE_MOST);
    assert_true(retention_plan(&listed, policy, decisions, &err));
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(decisions[i].reason, expected[i]);
        assert_int_equal(decisions[i].delete, expected[i] == RETENTION_DELETE_EXPIRED);
    }
}

static void check(const struct backup_object *backups, size_t count,
                  const struct retention_policy *policy, const enum retention_reason *expected)
{
    check_proven(backups, unproven, count, policy, expected);
}

#define YOUNG   RETENTION_KEEP_YOUNG
#define MINIMUM RETENTION_KEEP_MINIMUM
#define PROVEN  RETENTION_KEEP_VERIFIED
#define FOREIGN RETENTION_KEEP_FOREIGN
#define OTHER   RETENTION_KEEP_MANUAL_OTHER
#define FUTURE  RETENTION_KEEP_FUTURE
#define EXPIRED RETENTION_DELETE_EXPIRED

/* How a verification ended. */
#define NONE RETENTION_UNPROVEN
#define GOOD RETENTION_VERIFIED
#define BAD  RETENTION_REFUTED

static void test_old_ones_go(void **state)
{
    const struct backup_object backups[] = {ours(40 * DAY_MS), ours(1 * DAY_MS), ours(50 * DAY_MS),
                                            ours(2 * DAY_MS), ours(3 * DAY_MS)};
    const enum retention_reason expected[] = {EXPIRED, YOUNG, EXPIRED, YOUNG, YOUNG};

    (void)state;
    check(backups, 5, &usual, expected);
}

/* G1: everything recent failed; the newest that exist stay for ever. */
static void test_the_newest_stay_however_old(void **state)
{
    const struct backup_object backups[] = {ours(100 * DAY_MS), ours(101 * DAY_MS),
                                            ours(103 * DAY_MS), ours(102 * DAY_MS),
                                            ours(104 * DAY_MS)};
    const enum retention_reason expected[] = {MINIMUM, MINIMUM, EXPIRED, MINIMUM, EXPIRED};

    (void)state;
    check(backups, 5, &usual, expected);
}

static void test_young_ones_count_towards_the_minimum(void **state)
{
    const struct backup_object backups[] = {ours(1 * DAY_MS), ours(40 * DAY_MS), ours(41 * DAY_MS),
                                            ours(42 * DAY_MS)};
    const enum retention_reason expected[] = {YOUNG, MINIMUM, MINIMUM, EXPIRED};

    (void)state;
    check(backups, 4, &usual, expected);
}

static void test_the_boundary_is_kept(void **state)
{
    const struct backup_object backups[] = {ours(0), ours(1), ours(2), ours(30 * DAY_MS),
                                            ours(30 * DAY_MS + 1)};
    const enum retention_reason expected[] = {YOUNG, YOUNG, YOUNG, YOUNG, EXPIRED};

    (void)state;
    check(backups, 5, &usual, expected);
}

/* "Newer" is strict: neither of two of the same instant is newer than the other. */
static void test_ties_are_kept(void **state)
{
    struct retention_policy policy = usual;
    const struct backup_object backups[] = {ours(40 * DAY_MS), ours(40 * DAY_MS),
                                            ours(41 * DAY_MS)};
    const enum retention_reason expected[] = {MINIMUM, MINIMUM, EXPIRED};

    (void)state;
    policy.keep_min = 1;
    check(backups, 3, &policy, expected);
}

static void test_what_is_not_ours_stays_and_does_not_count(void **state)
{
    const struct backup_object backups[] = {backup(ANOTHER, "rythm", 90 * DAY_MS),
                                            backup("", "rythm", 90 * DAY_MS),
                                            legacy(90 * DAY_MS),
                                            ours(91 * DAY_MS),
                                            ours(92 * DAY_MS),
                                            ours(93 * DAY_MS)};
    const enum retention_reason expected[] = {FOREIGN, OTHER, FOREIGN, MINIMUM, MINIMUM, MINIMUM};

    (void)state;
    check(backups, 6, &usual, expected);
}

/* A copy of the database has a schedule of the same id. Its backups, and those of a run that does
 * not say whose it was, neither go nor push ours out. */
static void test_another_ledgers_stay_and_do_not_count(void **state)
{
    const struct backup_object backups[] = {of_ledger("rythm_copy", SYSTEM, 90 * DAY_MS),
                                            of_ledger("rythm", "7300000000000000002", 90 * DAY_MS),
                                            of_ledger("", SYSTEM, 90 * DAY_MS),
                                            of_ledger("rythm", "", 90 * DAY_MS),
                                            of_ledger("", "", 90 * DAY_MS),
                                            ours(91 * DAY_MS),
                                            ours(92 * DAY_MS),
                                            ours(93 * DAY_MS),
                                            ours(94 * DAY_MS)};
    const enum retention_reason expected[] = {FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN,
                                              MINIMUM, MINIMUM, MINIMUM, EXPIRED};

    (void)state;
    check(backups, 9, &usual, expected);
}

/* A schedule that was turned to another database has backups of both: the newest of each stay. */
static void test_the_newest_of_each_database_stay(void **state)
{
    struct retention_policy policy = usual;
    const struct backup_object backups[] = {backup(OURS, "other", 1 * DAY_MS),
                                            backup(OURS, "other", 40 * DAY_MS),
                                            backup(OURS, "other", 41 * DAY_MS),
                                            ours(50 * DAY_MS),
                                            ours(51 * DAY_MS),
                                            ours(52 * DAY_MS),
                                            backup(OURS, "", 60 * DAY_MS)};
    const enum retention_reason expected[] = {YOUNG,   MINIMUM, EXPIRED, MINIMUM,
                                              MINIMUM, EXPIRED, MINIMUM};

    (void)state;
    policy.keep_min = 2;
    check(backups, 7, &policy, expected);
}

/* Nor do parts of a database stand for the whole, or another server's for ours. What does not say
 * where it is from is the ledger's own server's. */
static void test_the_newest_of_each_content_stay(void **state)
{
    struct retention_policy policy = usual;
    const struct backup_object backups[] = {of_content(SYSTEM, PARTS, 1 * DAY_MS),
                                            of_content("", PARTS, 40 * DAY_MS),
                                            of_content(ELSEWHERE, "", 2 * DAY_MS),
                                            of_content(ELSEWHERE, "", 41 * DAY_MS),
                                            of_content(SYSTEM, "", 50 * DAY_MS),
                                            ours(51 * DAY_MS),
                                            legacy(52 * DAY_MS)};
    const enum retention_reason expected[] = {YOUNG,   EXPIRED, YOUNG,  EXPIRED,
                                              MINIMUM, EXPIRED, EXPIRED};

    (void)state;
    policy.keep_min = 1;
    policy.is_default = true;
    check(backups, 7, &policy, expected);
}

static void test_manual_ones_of_the_schedule_are_like_the_others(void **state)
{
    struct retention_policy policy = usual;
    struct backup_object backups[] = {ours(1 * DAY_MS), ours(40 * DAY_MS)};
    const enum retention_reason expected[] = {YOUNG, EXPIRED};

    (void)state;
    policy.keep_min = 1;
    snprintf(backups[0].facts.type, sizeof(backups[0].facts.type), "manual");
    check(backups, 2, &policy, expected);
    snprintf(backups[1].facts.type, sizeof(backups[1].facts.type), "manual");
    check(backups, 2, &policy, expected);
}

static void test_legacy_ones_belong_to_the_default_schedule(void **state)
{
    struct retention_policy policy = usual;
    const struct backup_object backups[] = {legacy(50 * DAY_MS), ours(1 * DAY_MS),
                                            legacy(40 * DAY_MS), ours(2 * DAY_MS)};
    const enum retention_reason expected[] = {EXPIRED, YOUNG, MINIMUM, YOUNG};

    (void)state;
    policy.is_default = true;
    check(backups, 4, &policy, expected);
}

/* What the old service backed up is the database that the ledger is in. */
static void test_legacy_ones_count_with_the_ledgers_database(void **state)
{
    struct retention_policy policy = usual;
    const struct backup_object backups[] = {legacy(50 * DAY_MS), legacy(51 * DAY_MS),
                                            ours(40 * DAY_MS), backup(OURS, "other", 1),
                                            backup(OURS, "other", 2)};
    const enum retention_reason expected[] = {MINIMUM, EXPIRED, MINIMUM, YOUNG, YOUNG};

    (void)state;
    policy.is_default = true;
    policy.keep_min = 2;
    check(backups, 5, &policy, expected);
}

/* A clock that was ahead must not make others look old nor push them out of the newest. */
static void test_future_ones_prove_nothing(void **state)
{
    const struct backup_object backups[] = {ours(-1), ours(-400 * DAY_MS), ours(-2),
                                            ours(60 * DAY_MS), ours(61 * DAY_MS)};
    const enum retention_reason expected[] = {FUTURE, FUTURE, FUTURE, MINIMUM, MINIMUM};

    (void)state;
    check(backups, 5, &usual, expected);
}

static void test_the_newest_verified_one_stays(void **state)
{
    const struct backup_object backups[] = {ours(1 * DAY_MS),  ours(2 * DAY_MS),  ours(3 * DAY_MS),
                                            ours(40 * DAY_MS), ours(50 * DAY_MS), ours(60 * DAY_MS),
                                            ours(50 * DAY_MS)};
    const enum retention_proof proofs[] = {NONE, NONE, NONE, NONE, GOOD, GOOD, GOOD};
    const enum retention_reason expected[] = {YOUNG,  YOUNG,   YOUNG, EXPIRED,
                                              PROVEN, EXPIRED, PROVEN};

    (void)state;
    check_proven(backups, proofs, 7, &usual, expected);
}

/* It stays for itself, and does not make others stay. */
static void test_a_young_verified_one_is_the_newest(void **state)
{
    const struct backup_object backups[] = {ours(1 * DAY_MS), ours(2 * DAY_MS), ours(3 * DAY_MS),
                                            ours(40 * DAY_MS), ours(50 * DAY_MS)};
    const enum retention_proof proofs[] = {NONE, GOOD, NONE, GOOD, NONE};
    const enum retention_reason expected[] = {YOUNG, YOUNG, YOUNG, EXPIRED, EXPIRED};

    (void)state;
    check_proven(backups, proofs, 5, &usual, expected);
}

static void test_the_newest_verified_one_of_each_content_stays(void **state)
{
    const struct backup_object backups[] = {ours(1 * DAY_MS),
                                            ours(2 * DAY_MS),
                                            ours(3 * DAY_MS),
                                            ours(40 * DAY_MS),
                                            of_content(SYSTEM, PARTS, 1 * DAY_MS),
                                            of_content(SYSTEM, PARTS, 2 * DAY_MS),
                                            of_content(SYSTEM, PARTS, 3 * DAY_MS),
                                            of_content(SYSTEM, PARTS, 50 * DAY_MS),
                                            backup(ANOTHER, "rythm", 1 * DAY_MS),
                                            of_ledger("copy", SYSTEM, 1 * DAY_MS),
                                            ours(-1),
                                            legacy(1 * DAY_MS)};
    const enum retention_proof proofs[] = {NONE, NONE, NONE, GOOD, NONE, NONE,
                                           NONE, GOOD, GOOD, GOOD, GOOD, GOOD};
    const enum retention_reason expected[] = {YOUNG, YOUNG,  YOUNG,   PROVEN,  YOUNG,  YOUNG,
                                              YOUNG, PROVEN, FOREIGN, FOREIGN, FUTURE, FOREIGN};

    (void)state;
    check_proven(backups, proofs, 12, &usual, expected);
}

/* What cannot be restored is no reason to delete what may be. */
static void test_one_that_failed_its_verification_does_not_count(void **state)
{
    const struct backup_object backups[] = {ours(1 * DAY_MS),  ours(2 * DAY_MS),  ours(3 * DAY_MS),
                                            ours(40 * DAY_MS), ours(41 * DAY_MS), ours(42 * DAY_MS),
                                            ours(43 * DAY_MS)};
    const enum retention_proof proofs[] = {NONE, BAD, NONE, BAD, NONE, BAD, NONE};
    const enum retention_reason expected[] = {YOUNG,   YOUNG,   YOUNG,  MINIMUM,
                                              MINIMUM, EXPIRED, EXPIRED};

    (void)state;
    check_proven(backups, proofs, 7, &usual, expected);
}

static void check_kept_by(const char *dates[], size_t count, struct keep_rules keep,
                          const char *const *expected)
{
    struct backup_object backups[HERE_MOST];
    const struct retention_backups listed = {backups, unproven, count};
    struct retention_policy policy = usual;
    struct retention_decision decisions[HERE_MOST];
    struct error err = ERROR_INIT;

    policy.keep = keep;
    policy.keep_min = 1;
    policy.retention_days = 1;
    for (size_t i = 0; i < count; i++) {
        int64_t instant_ms;
        assert_true(clock_parse_iso(dates[i], &instant_ms));
        backups[i] = ours(NOW_MS - instant_ms);
    }
    assert_true(retention_plan(&listed, &policy, decisions, &err));
    for (size_t i = 0; i < count; i++) {
        char text[RETENTION_TEXT_SIZE];
        retention_format(text, &decisions[i], &policy);
        assert_string_equal(text, expected[i]);
    }
}

static void test_rules_keep_the_newest_of_their_periods(void **state)
{
    /* A Monday, the Sunday before, its Saturday; a year's end within a week; a year before. */
    const char *dates[] = {"2025-03-03T23:59:59Z", "2025-03-03T00:00:00Z", "2025-03-02T23:00:00Z",
                           "2025-03-01T10:00:00Z", "2025-01-01T10:00:00Z", "2024-12-31T10:00:00Z",
                           "2024-12-30T10:00:00Z", "2023-06-06T10:00:00Z", "2023-06-06T10:00:00Z"};
    const char *const expected[] = {
        "keep_last 2, keep_daily 3, keep_weekly 3, keep_monthly 2, keep_yearly 3",
        "keep_last 2",
        "keep_daily 3, keep_weekly 3",
        "keep_daily 3",
        "keep_weekly 3, keep_monthly 2",
        "keep_yearly 3",
        "older than 1 day",
        "keep_yearly 3",
        "keep_yearly 3"};

    (void)state;
    check_kept_by(dates, 9, (struct keep_rules){{2, 3, 3, 2, 3}}, expected);
}

static void test_rules_that_are_none(void **state)
{
    const char *dates[] = {"2025-03-03T10:00:00Z", "2025-03-02T10:00:00Z"};
    const char *const expected[] = {"the newest one", "older than 1 day"};

    (void)state;
    check_kept_by(dates, 2, (struct keep_rules){{0}}, expected);
}

static void test_bad_rules_are_refused(void **state)
{
    const struct retention_backups none = {NULL, NULL, 0};

    (void)state;
    for (int rule = 0; rule < KEEP_RULE_COUNT; rule++) {
        for (int i = 0; i < 2; i++) {
            struct retention_policy policy = usual;
            struct error err = ERROR_INIT;
            policy.keep.counts[rule] = i == 0 ? -1 : KEEP_RULE_MOST + 1;
            assert_false(retention_plan(&none, &policy, NULL, &err));
            assert_int_equal(err.kind, ERROR_CONFIG);
            assert_non_null(strstr(err.text, "keep_"));
        }
    }
}

static void test_ages(void **state)
{
    const struct backup_object backups[] = {ours(0), ours(DAY_MS - 1), ours(DAY_MS),
                                            ours(45 * DAY_MS + 5)};
    const int64_t days[] = {0, 0, 1, 45};
    const struct retention_backups listed = {backups, unproven, 4};
    struct retention_decision decisions[4];
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(retention_plan(&listed, &usual, decisions, &err));
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(decisions[i].age_days, days[i]);
    }
}

static void test_bad_policies_are_refused(void **state)
{
    static const struct {
        const char *schedule_id;
        int64_t days;
        int64_t keep_min;
    } bad[] = {{OURS, 0, 3},         {OURS, -1, 3},        {OURS, INT64_C(1) << 31, 3},
               {OURS, INT64_MIN, 3}, {OURS, 30, 0},        {OURS, 30, -1},
               {OURS, 30, 1000001},  {OURS, INT64_MAX, 3}, {"", 30, 3}};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct retention_policy policy = usual;
        struct backup_object backups[] = {ours(1), ours(900 * DAY_MS)};
        const struct retention_backups listed = {backups, unproven, 2};
        const struct retention_backups none = {NULL, NULL, 0};
        struct retention_decision decisions[2];
        struct retention_decision untouched[2];
        struct error err = ERROR_INIT;
        memset(decisions, 0x5a, sizeof(decisions));
        memset(untouched, 0x5a, sizeof(untouched));
        policy.schedule_id = bad[i].schedule_id;
        policy.retention_days = bad[i].days;
        policy.keep_min = bad[i].keep_min;
        assert_false(retention_plan(&listed, &policy, decisions, &err));
        assert_int_equal(err.kind, ERROR_CONFIG);
        assert_memory_equal(decisions, untouched, sizeof(decisions));
        assert_false(retention_plan(&none, &policy, NULL, &err));
    }
}

static void test_no_backups(void **state)
{
    const struct retention_backups none = {NULL, NULL, 0};
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(retention_plan(&none, &usual, NULL, &err));
}

static void check_text(enum retention_reason reason, const struct retention_policy *policy,
                       const char *expected)
{
    struct retention_decision decision = {.reason = reason};
    char text[RETENTION_TEXT_SIZE];

    retention_format(text, &decision, policy);
    assert_string_equal(text, expected);
}

static void test_texts(void **state)
{
    struct retention_policy one = usual;

    (void)state;
    one.retention_days = 1;
    one.keep_min = 1;
    check_text(YOUNG, &usual, "not older than 30 days");
    check_text(YOUNG, &one, "not older than 1 day");
    check_text(MINIMUM, &usual, "one of the newest 3");
    check_text(MINIMUM, &one, "the newest one");
    check_text(PROVEN, &usual, "the newest verified one");
    check_text(FOREIGN, &usual, "another schedule's, database's or server's");
    check_text(OTHER, &usual, "belongs to no schedule");
    check_text(FUTURE, &usual, "dated after the database server's clock");
    check_text(EXPIRED, &usual, "older than 30 days");
    check_text(EXPIRED, &one, "older than 1 day");
}

static void test_left(void **state)
{
    (void)state;
    assert_true(retention_left_ms(1, 0) == 86400000);
    assert_true(retention_left_ms(30, 600000) == INT64_C(30) * 86400000 - 600000);
    assert_true(retention_left_ms(1, 86400001) == 0);
    assert_true(retention_left_ms(INT64_MAX, 0) > 0);
}

static void test_is_last(void **state)
{
    const struct backup_object backups[] = {ours(1),
                                            backup(ANOTHER, "rythm", 2),
                                            backup(OURS, "other", 3),
                                            legacy(4),
                                            legacy(5),
                                            backup("", "rythm", 6),
                                            ours(7),
                                            of_ledger("rythm_copy", SYSTEM, 8),
                                            of_ledger("rythm", "7300000000000000002", 9),
                                            of_content(SYSTEM, PARTS, 10),
                                            of_content(ELSEWHERE, "", 11),
                                            of_content(SYSTEM, "", 12)};
    const bool expected[] = {false, true, true, false, false, true,
                             false, true, true, true,  true,  false};

    (void)state;
    for (size_t i = 0; i < 12; i++) {
        assert_int_equal(retention_is_last(backups, 12, i), expected[i]);
    }
    assert_true(retention_is_last(backups, 1, 0));
}

/* Random lists. */

#define LONGEST   40
#define STEP_MS   (DAY_MS / 4)
#define AGE_STEPS 60

static uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);

static uint32_t draw(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 33) % below;
}

/* Ages on a coarse grid, so that ties and the boundary come up often; some in the future. */
static struct backup_object draw_backup(void)
{
    static const char *const schedules[] = {OURS, OURS, OURS, OURS, ANOTHER, ""};
    static const char *const databases[] = {"rythm", "rythm", "rythm", "rythm", "other"};
    static const char *const ledgers[] = {"rythm_copy", "other", ""};
    static const char *const systems[] = {SYSTEM, "7300000000000000002", ""};
    static const char *const sources[] = {SYSTEM, ELSEWHERE, ""};
    int64_t age_ms = ((int64_t)draw(AGE_STEPS) - 5) * STEP_MS * (draw(2) == 0 ? 1 : 40);

    if (draw(8) == 0) {
        return legacy(age_ms);
    }
    if (draw(6) == 0) {
        return of_ledger(ledgers[draw(3)], SYSTEM, age_ms);
    }
    if (draw(6) == 0) {
        return of_ledger("rythm", systems[draw(3)], age_ms);
    }
    if (draw(3) == 0) {
        return of_content(sources[draw(3)], draw(2) == 0 ? PARTS : "", age_ms);
    }
    return backup(schedules[draw(6)], databases[draw(5)], age_ms);
}

static struct retention_policy draw_policy(void)
{
    struct retention_policy policy = usual;

    policy.is_default = draw(2) == 0;
    policy.retention_days = 1 + draw(10);
    policy.keep_min = 1 + draw(6);
    bool has_rules = draw(3) == 0;
    for (int rule = 0; has_rules && rule < KEEP_RULE_COUNT; rule++) {
        policy.keep.counts[rule] = draw(2) == 0 ? 0 : draw(8);
    }
    return policy;
}

static bool model_is_ours(const struct backup_object *b, const struct retention_policy *policy)
{
    bool named = !b->legacy && strcmp(b->facts.schedule_id, policy->schedule_id) == 0 &&
                 strcmp(b->facts.ledger, policy->ledger) == 0 &&
                 strcmp(b->facts.system, policy->system) == 0;

    return named || (b->legacy && policy->is_default);
}

static bool model_counts(const struct backup_object *b, const struct retention_policy *policy)
{
    return model_is_ours(b, policy) && b->begun_ms <= policy->now_ms;
}

static const char *model_database(const struct backup_object *b,
                                  const struct retention_policy *policy)
{
    return b->legacy ? policy->ledger : b->facts.database;
}

static bool model_is_elsewhere(const struct backup_object *b)
{
    return strcmp(b->facts.source, ELSEWHERE) == 0;
}

static bool model_same(const struct backup_object *one, const struct backup_object *other,
                       const struct retention_policy *policy)
{
    return strcmp(model_database(one, policy), model_database(other, policy)) == 0 &&
           model_is_elsewhere(one) == model_is_elsewhere(other) &&
           (one->facts.schemas[0] == '\0') == (other->facts.schemas[0] == '\0');
}

/* Does one stand in the list that is newer than this one, of the same content, and of that proof?
 */
static int64_t model_newer(const struct retention_backups *backups, size_t index,
                           const struct retention_policy *policy, bool verified)
{
    const struct backup_object *items = backups->items;
    int64_t newer = 0;

    for (size_t i = 0; i < backups->count; i++) {
        bool fits = verified ? backups->proofs[i] == GOOD : backups->proofs[i] != BAD;
        newer += fits && model_counts(&items[i], policy) &&
                 model_same(&items[i], &items[index], policy) &&
                 items[i].begun_ms > items[index].begun_ms;
    }
    return newer;
}

/* What a rule calls the period of an instant, as people write it. */
static void model_label(char out[32], enum keep_rule rule, const struct backup_object *b)
{
    time_t seconds = (time_t)(b->begun_ms / 1000);
    struct tm date;

    gmtime_r(&seconds, &date);
    switch (rule) {
    case KEEP_DAILY:
        assert_true(strftime(out, 32, "%F", &date) > 0);
        return;
    case KEEP_WEEKLY:
        assert_true(strftime(out, 32, "%G-W%V", &date) > 0);
        return;
    case KEEP_MONTHLY:
        assert_true(strftime(out, 32, "%Y-%m", &date) > 0);
        return;
    case KEEP_YEARLY:
        assert_true(strftime(out, 32, "%Y", &date) > 0);
        return;
    case KEEP_LAST:
    case KEEP_RULE_COUNT:
        break;
    }
    snprintf(out, 32, "%" PRId64, b->begun_ms);
}

/* Newer, of the same content, and not found to be bad. */
static bool model_stands_before(const struct retention_backups *backups, size_t one, size_t other,
                                const struct retention_policy *policy)
{
    const struct backup_object *items = backups->items;

    return backups->proofs[one] != BAD && model_counts(&items[one], policy) &&
           model_same(&items[one], &items[other], policy) &&
           items[one].begun_ms > items[other].begun_ms;
}

/* "The newest of each of the last N periods that have one." */
static bool model_rule_keeps(const struct retention_backups *backups, size_t index,
                             const struct retention_policy *policy, enum keep_rule rule)
{
    char labels[LONGEST][32];
    char own[32];
    int64_t periods = 0;

    if (backups->proofs[index] == BAD) {
        return false;
    }
    model_label(own, rule, &backups->items[index]);
    for (size_t i = 0; i < backups->count; i++) {
        if (!model_stands_before(backups, i, index, policy)) {
            continue;
        }
        bool seen = false;
        model_label(labels[periods], rule, &backups->items[i]);
        for (int64_t k = 0; k < periods; k++) {
            seen = seen || strcmp(labels[k], labels[periods]) == 0;
        }
        if (strcmp(labels[periods], own) == 0) {
            return false;
        }
        periods += !seen;
    }
    return periods < policy->keep.counts[rule];
}

static bool model_any_rule_keeps(const struct retention_backups *backups, size_t index,
                                 const struct retention_policy *policy)
{
    for (int rule = 0; rule < KEEP_RULE_COUNT; rule++) {
        if (model_rule_keeps(backups, index, policy, (enum keep_rule)rule)) {
            return true;
        }
    }
    return false;
}

/* "Deleted only when at least keep_min newer backups of the same schedule and content stand in the
 * list" that were not found to be bad, never when it is the newest verified one, and then only when
 * it is too old and no rule keeps it. */
static bool model_deletes(const struct retention_backups *backups, size_t index,
                          const struct retention_policy *policy)
{
    const struct backup_object *backup = &backups->items[index];

    return model_counts(backup, policy) &&
           model_newer(backups, index, policy, false) >= policy->keep_min &&
           (backups->proofs[index] != GOOD || model_newer(backups, index, policy, true) > 0) &&
           backup->begun_ms + policy->retention_days * DAY_MS < policy->now_ms &&
           !model_any_rule_keeps(backups, index, policy);
}

/* A list of its own, for what is left. */
struct drawn {
    struct backup_object items[LONGEST];
    enum retention_proof proofs[LONGEST];
    struct retention_backups listed;
};

static void keep_survivors(const struct retention_backups *backups,
                           const struct retention_decision *decisions, struct drawn *out)
{
    size_t kept = 0;

    for (size_t i = 0; i < backups->count; i++) {
        if (!decisions[i].delete) {
            out->items[kept] = backups->items[i];
            out->proofs[kept++] = backups->proofs[i];
        }
    }
    out->listed = (struct retention_backups){out->items, out->proofs, kept};
}

/* Of the same content as `like`, and not found to be bad; or only those that were verified. */
static int64_t count_ours(const struct retention_backups *backups,
                          const struct retention_policy *policy, const struct backup_object *like,
                          bool verified)
{
    int64_t result = 0;

    for (size_t i = 0; i < backups->count; i++) {
        bool fits = verified ? backups->proofs[i] == GOOD : backups->proofs[i] != BAD;
        result += fits && model_counts(&backups->items[i], policy) &&
                  model_same(&backups->items[i], like, policy);
    }
    return result;
}

static void check_minimum(const struct retention_backups *backups,
                          const struct retention_backups *kept,
                          const struct retention_policy *policy)
{
    for (size_t i = 0; i < backups->count; i++) {
        const struct backup_object *like = &backups->items[i];
        int64_t before = count_ours(backups, policy, like, false);
        int64_t after = count_ours(kept, policy, like, false);
        assert_true(after >= (before < policy->keep_min ? before : policy->keep_min));
        assert_true(count_ours(backups, policy, like, true) == 0 ||
                    count_ours(kept, policy, like, true) > 0);
    }
}

/* How many were deleted; those that stayed because they were verified are counted. */
static size_t check_random_list(size_t *proven)
{
    static const enum retention_proof proofs[] = {NONE, NONE, NONE, GOOD, BAD};
    struct drawn drawn = {.listed = {NULL, NULL, draw(LONGEST + 1)}};
    struct drawn kept = {.listed = {NULL, NULL, 0}};
    const struct retention_backups *backups = &drawn.listed;
    struct retention_decision decisions[LONGEST];
    struct retention_policy policy = draw_policy();
    struct error err = ERROR_INIT;
    size_t deleted = 0;

    drawn.listed.items = drawn.items;
    drawn.listed.proofs = drawn.proofs;
    for (size_t i = 0; i < backups->count; i++) {
        drawn.items[i] = draw_backup();
        drawn.proofs[i] = proofs[draw(5)];
    }
    assert_true(retention_plan(backups, &policy, decisions, &err));
    for (size_t i = 0; i < backups->count; i++) {
        assert_int_equal(decisions[i].delete, model_deletes(backups, i, &policy));
        assert_int_equal(decisions[i].delete, decisions[i].reason == RETENTION_DELETE_EXPIRED);
        assert_false(decisions[i].delete &&!model_is_ours(&backups->items[i], &policy));
        assert_false(decisions[i].delete &&backups->items[i].begun_ms > policy.now_ms);
        deleted += decisions[i].delete;
        *proven += decisions[i].reason == PROVEN;
    }
    keep_survivors(backups, decisions, &kept);
    check_minimum(backups, &kept.listed, &policy);
    /* What one prune leaves, the next one leaves too. */
    assert_true(retention_plan(&kept.listed, &policy, decisions, &err));
    for (size_t i = 0; i < kept.listed.count; i++) {
        assert_false(decisions[i].delete);
    }
    return deleted;
}

static void test_random_lists_against_the_model(void **state)
{
    size_t lists = getenv("MEMCHECK") != NULL ? 500 : 25000;
    size_t deleted = 0;
    size_t proven = 0;

    (void)state;
    for (size_t i = 0; i < lists; i++) {
        deleted += check_random_list(&proven);
    }
    /* Else the lists would prove nothing. */
    assert_true(deleted > lists);
    assert_true(proven > lists / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_old_ones_go),
        cmocka_unit_test(test_the_newest_stay_however_old),
        cmocka_unit_test(test_young_ones_count_towards_the_minimum),
        cmocka_unit_test(test_the_boundary_is_kept),
        cmocka_unit_test(test_ties_are_kept),
        cmocka_unit_test(test_what_is_not_ours_stays_and_does_not_count),
        cmocka_unit_test(test_another_ledgers_stay_and_do_not_count),
        cmocka_unit_test(test_the_newest_of_each_database_stay),
        cmocka_unit_test(test_the_newest_of_each_content_stay),
        cmocka_unit_test(test_manual_ones_of_the_schedule_are_like_the_others),
        cmocka_unit_test(test_legacy_ones_belong_to_the_default_schedule),
        cmocka_unit_test(test_legacy_ones_count_with_the_ledgers_database),
        cmocka_unit_test(test_future_ones_prove_nothing),
        cmocka_unit_test(test_the_newest_verified_one_stays),
        cmocka_unit_test(test_a_young_verified_one_is_the_newest),
        cmocka_unit_test(test_the_newest_verified_one_of_each_content_stays),
        cmocka_unit_test(test_one_that_failed_its_verification_does_not_count),
        cmocka_unit_test(test_rules_keep_the_newest_of_their_periods),
        cmocka_unit_test(test_rules_that_are_none),
        cmocka_unit_test(test_bad_rules_are_refused),
        cmocka_unit_test(test_ages),
        cmocka_unit_test(test_bad_policies_are_refused),
        cmocka_unit_test(test_no_backups),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_is_last),
        cmocka_unit_test(test_left),
        cmocka_unit_test(test_random_lists_against_the_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
