/*
 * Does a server have what a backup asks for? Asked before anything is touched, but for roles, which
 * are made then and stay.
 */
#ifndef RESTORE_NEEDS_H
#define RESTORE_NEEDS_H

#include <stdbool.h>

#include "base/error.h"
#include "postgres/session.h"
#include "restore/backup_source.h"
#include "restore/replay.h"

struct needs {
    const struct backup_source *source;
    const struct replay_rules *rules;
    struct session *session; /* to any database of the server */
    bool create_roles;       /* those that are missing */
};

/* ERROR_FAILED names the roles, extensions or tablespaces that are missing, or says that the server
 * is too old. A backup without a manifest has been read, and is known to be whole, afterwards. */
bool needs_check(const struct needs *needs, struct error *err);

#endif
