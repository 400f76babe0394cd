/*
 * The backup that a command line names, for the commands that read one.
 */
#ifndef COMMANDS_CHOSEN_BACKUP_H
#define COMMANDS_CHOSEN_BACKUP_H

#include <stdbool.h>

#include "backup/backup_choice.h"
#include "base/error.h"
#include "commands/context.h"
#include "commands/store_plans.h"
#include "postgres/backup_schedule.h"

struct chosen_backup {
    struct schedules schedules; /* none while the database does not answer */
    struct store_plans stores;
    struct backup_choice choice;
};

/* Finds it in the configured store and in those that schedules name. The caller clears *out, also
 * after a failure. */
bool chosen_backup_open(struct context *context, const char *wanted, struct chosen_backup *out,
                        struct error *err);
void chosen_backup_clear(struct chosen_backup *chosen);

#endif
