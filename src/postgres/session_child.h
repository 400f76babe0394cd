/*
 * How a child process reaches the same database on the same server as a session of ours.
 */
#ifndef POSTGRES_SESSION_CHILD_H
#define POSTGRES_SESSION_CHILD_H

#include <stdbool.h>

#include "base/error.h"
#include "postgres/session.h"

struct session_child {
    char *conninfo; /* for its arguments: no secret in it */
    char *password; /* "PGPASSWORD=..." for its environment; "" when there is none */
};

/* Beside where and who, the child's session gets what frees its locks when this host vanishes. The
 * caller clears *out. A secret that could only be passed in the arguments is refused. */
bool session_child_init(struct session_child *out, struct session *session, struct error *err);
void session_child_clear(struct session_child *child);

#endif
