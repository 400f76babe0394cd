#include "retention/keep_rules.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECOND_MS INT64_C(1000)
#define DAY_MS    (INT64_C(24) * 3600 * SECOND_MS)

/* As the columns of backup_schedule. */
static const char *const names[KEEP_RULE_COUNT] = {
    [KEEP_LAST] = "keep_last",       [KEEP_DAILY] = "keep_daily",   [KEEP_WEEKLY] = "keep_weekly",
    [KEEP_MONTHLY] = "keep_monthly", [KEEP_YEARLY] = "keep_yearly",
};

bool keep_rules_check(const struct keep_rules *rules, struct error *err)
{
    for (int i = 0; i < KEEP_RULE_COUNT; i++) {
        if (rules->counts[i] < 0 || rules->counts[i] > KEEP_RULE_MOST) {
            error_set(err, ERROR_CONFIG, "%s = %" PRId64 " is not between 0 and %d", names[i],
                      rules->counts[i], KEEP_RULE_MOST);
            return error_hint(err, "nothing is deleted until it is corrected");
        }
    }
    return true;
}

/* Rounded down, also before 1970. */
static int64_t divide(int64_t number, int64_t by)
{
    return number / by - (number % by < 0);
}

/* The number of the period that the instant is in; the later the greater. */
static int64_t period_of(enum keep_rule rule, int64_t instant_ms)
{
    time_t seconds = (time_t)divide(instant_ms, SECOND_MS);
    int64_t days = divide(instant_ms, DAY_MS);
    struct tm date = {.tm_year = 0};

    switch (rule) {
    case KEEP_DAILY:
        return days;
    case KEEP_WEEKLY:
        /* 1970 began on a Thursday. */
        return divide(days + 3, 7);
    case KEEP_MONTHLY:
        gmtime_r(&seconds, &date);
        return (int64_t)date.tm_year * 12 + date.tm_mon;
    case KEEP_YEARLY:
        gmtime_r(&seconds, &date);
        return date.tm_year;
    case KEEP_LAST:
    case KEEP_RULE_COUNT:
        break;
    }
    return instant_ms;
}

unsigned keep_walk_next(struct keep_walk *walk, const struct keep_rules *rules, int64_t begun_ms)
{
    unsigned kept_by = 0;

    for (int i = 0; i < KEEP_RULE_COUNT; i++) {
        if (rules->counts[i] == 0) {
            continue;
        }
        int64_t period = period_of((enum keep_rule)i, begun_ms);
        if (walk->rules[i].periods == 0 || walk->rules[i].period != period) {
            walk->rules[i].periods++;
            walk->rules[i].period = period;
            walk->rules[i].newest_ms = begun_ms;
        }
        if (walk->rules[i].periods <= rules->counts[i] && walk->rules[i].newest_ms == begun_ms) {
            kept_by |= 1U << i;
        }
    }
    return kept_by;
}

void keep_rules_format(char out[KEEP_RULES_TEXT_SIZE], const struct keep_rules *rules,
                       unsigned kept_by)
{
    size_t used = 0;

    out[0] = '\0';
    for (int i = 0; i < KEEP_RULE_COUNT; i++) {
        if ((kept_by & 1U << i) != 0 && used < KEEP_RULES_TEXT_SIZE) {
            used += (size_t)snprintf(out + used, KEEP_RULES_TEXT_SIZE - used, "%s%s %" PRId64,
                                     used > 0 ? ", " : "", names[i], rules->counts[i]);
        }
    }
}
