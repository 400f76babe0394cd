/*
 * Rules that keep some of the older backups: of each of the last so many days, weeks, months and
 * years that have one, the newest; and the last so many of all. Pure.
 *
 * Periods are those of UTC (invariant I8); a week begins on Monday (ISO 8601). Those without a
 * backup do not count, as in restic's and borg's rules of these names.
 */
#ifndef RETENTION_KEEP_RULES_H
#define RETENTION_KEEP_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum keep_rule { KEEP_LAST, KEEP_DAILY, KEEP_WEEKLY, KEEP_MONTHLY, KEEP_YEARLY, KEEP_RULE_COUNT };

/* No rule asks for more. */
#define KEEP_RULE_MOST 10000

struct keep_rules {
    int64_t counts[KEEP_RULE_COUNT]; /* 0: there is no such rule */
};

/* ERROR_CONFIG that names the rule when a count is below 0 or above KEEP_RULE_MOST. */
bool keep_rules_check(const struct keep_rules *rules, struct error *err);

/* How far a walk from the newest backup to the oldest has come; zeros to begin with. */
struct keep_walk {
    struct {
        int64_t periods; /* that had a backup */
        int64_t period;  /* the last one met */
        int64_t newest_ms;
    } rules[KEEP_RULE_COUNT];
};
/* The next backup, which is not newer than the one before: a set of 1 << rule, of those that keep
 * it. Of several of the same instant each is kept. */
unsigned keep_walk_next(struct keep_walk *walk, const struct keep_rules *rules, int64_t begun_ms);

/* "keep_daily 7, keep_monthly 12" */
#define KEEP_RULES_TEXT_SIZE 128
void keep_rules_format(char out[KEEP_RULES_TEXT_SIZE], const struct keep_rules *rules,
                       unsigned kept_by);

#endif
