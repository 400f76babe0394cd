/*
 * What a tick would do: check --dry-run.
 */
#ifndef COMMANDS_CHECK_PLAN_H
#define COMMANDS_CHECK_PLAN_H

#include <stdbool.h>

#include "base/error.h"
#include "postgres/backup_schedule.h"

/* One line, or object, per schedule, on standard output. */
bool check_plan_print(const struct schedules *schedules, bool json, struct error *err);

#endif
