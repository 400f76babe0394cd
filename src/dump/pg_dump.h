/*
 * Which pg_dump to run: one that can read this server. pg_dump refuses a server of a newer major
 * version than its own and reads older ones (PostgreSQL manual, pg_dump, "Notes").
 */
#ifndef DUMP_PG_DUMP_H
#define DUMP_PG_DUMP_H

#include <limits.h>
#include <stdbool.h>

#include "base/error.h"

struct pg_dump {
    char path[PATH_MAX];
    int major; /* 15 */
};

/* Takes `configured` (RYTHM_BACKUP_PG_DUMP) when it is set. Otherwise looks for the server's own
 * major version in the usual versioned folders, then for one that is not older in PATH, then for
 * the next newer one in the versioned folders. `server_version` is PQserverVersion()'s. A pg_dump
 * that is too old, or none, is ERROR_CONFIG and says what was found and what to install. */
bool pg_dump_find(const char *configured, int server_version, struct pg_dump *out,
                  struct error *err);

/* True when it knows --restrict-key, and so writes \restrict and \unrestrict lines. It is asked for
 * its version. */
bool pg_dump_has_restrict(const struct pg_dump *tool, bool *has, struct error *err);

/* "pg_dump (PostgreSQL) 15.20 (Debian ...)" -> 15, *minor 20; 0 for anything else. `minor` may be
 * NULL. */
int pg_dump_parse_version(const char *line, int *minor);
/* Whether that release makes large objects (with owner, privileges, comment) in the data section,
 * not in the one before it. */
bool pg_dump_version_has_large_objects_in_data(int major);
/* Whether that release has the option. */
bool pg_dump_version_has_restrict(int major, int minor);

#endif
