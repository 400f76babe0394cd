/*
 * The migrations, embedded from migrations/ at build time, and running them.
 */
#ifndef POSTGRES_MIGRATIONS_H
#define POSTGRES_MIGRATIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "postgres/session.h"

struct migration {
    const char *name; /* "006_backup_schedule.sql" */
    const char *sql;
};
extern const struct migration migrations_all[];
extern const size_t migrations_count;

/* Applies one migration in a transaction of its own; harmless when it was applied before, also by
 * another process at the same moment. */
bool migrations_apply(struct session *session, const struct migration *migration,
                      struct error *err);

#endif
