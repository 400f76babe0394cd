/*
 * Programs of the operator's that run around a backup: before the dump, after the ledger says
 * completed, and after it says failed. They come from the configuration file alone, get the run's
 * facts in their environment, and none of our secrets. What they print goes to the log.
 *
 * To add a fact: a row in format_facts() (hook.c), and in HOOKS in the manual (make check tells).
 */
#ifndef BACKUP_HOOK_H
#define BACKUP_HOOK_H

#include <stdbool.h>

#include "backup/backup.h"
#include "base/error.h"

enum hook_event { HOOK_BEFORE, HOOK_AFTER, HOOK_ON_FAILURE };

struct hook {
    enum hook_event event;
    const struct backup_request *request;
    const struct backup_result *result;
    const char *status; /* "started", "completed", "failed", "unknown" */
    const char *error;  /* NULL: none */
};

/* Runs the hook of that event, if there is one, and waits for its end. False when it failed: could
 * not be run, ended otherwise than with status 0, or had not ended by its deadline or when a stop
 * was asked for, by which it and all of its process group are killed. *skip: it ended with the
 * status that asks for no backup; may be NULL. HOOK_ON_FAILURE also runs after a stop, for a
 * moment. */
bool hook_run(const struct hook *hook, bool *skip, struct error *err);

#endif
