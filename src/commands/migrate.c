/* The database's set-up. */

#include <stdio.h>

#include "base/log.h"
#include "commands/command.h"
#include "commands/context.h"
#include "postgres/migrations.h"

enum { OPTION_PRINT };

static bool run(struct context *context, const struct invocation *invocation, struct error *err)
{
    struct session *session = NULL;

    if (invocation->options[OPTION_PRINT] != NULL) {
        for (size_t i = 0; i < migrations_count; i++) {
            printf("%s-- %s\n\n%s", i > 0 ? "\n" : "", migrations_all[i].name,
                   migrations_all[i].sql);
        }
        return true;
    }
    if (!context_connect(context, &session, err)) {
        return false;
    }
    bool ok = true;
    for (size_t i = 0; ok && i < migrations_count; i++) {
        ok = migrations_apply(session, &migrations_all[i], err);
        if (ok) {
            log_info(LOG_MARK_NONE, "migration_applied", "Applied %s", migrations_all[i].name);
        }
    }
    session_close(session);
    if (ok) {
        log_info(LOG_MARK_OK, "migrated", "The database is ready for rythm-backup");
    }
    return ok;
}

const struct command command_migrate = {
    .name = "migrate",
    .arguments = "",
    .summary = "set up the tables; harmless when they are there",
    .description =
        "Creates the tables that are missing and adds the columns and functions that rythm-backup\n"
        "needs. What the application has made is left as it is. Running it again changes nothing.",
    .options = {{"print", NULL, "print the SQL instead of running it"}},
    .run = run,
};
