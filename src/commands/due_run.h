/*
 * Running a schedule that is due, in a tick of `check`.
 */
#ifndef COMMANDS_DUE_RUN_H
#define COMMANDS_DUE_RUN_H

#include "commands/context.h"
#include "commands/tick.h"
#include "postgres/backup_schedule.h"

/* Makes its backup, or those of all databases. Whatever comes of it is noted in the tick. */
void due_run(struct context *context, const struct schedule *schedule, struct tick *tick);

#endif
