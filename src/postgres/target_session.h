/*
 * A session that a backup is restored through: settings under which a dump's statements and rows
 * mean what they meant where they were written, and statements that may take hours.
 *
 * What such a session runs comes out of a backup and is not trusted: whatever a statement sends
 * back is dropped row by row, and one that begins a COPY is an error.
 */
#ifndef POSTGRES_TARGET_SESSION_H
#define POSTGRES_TARGET_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "postgres/session.h"

struct target_session_options {
    const char *encoding;    /* of the dump; NULL: the database's own */
    int64_t lock_timeout_ms; /* waiting longer for a lock fails; 0: no limit */
    bool hides_values; /* no error repeats what stands in a row: they are written and mailed */
};

/* Prepares an open session. From here on no statement has a limit of ours: building an index takes
 * what it takes. A stop still ends the wait, and so does a connection that died (keepalives). */
bool target_session_prepare(struct session *session, const struct target_session_options *options,
                            struct error *err);

/* Runs one statement, or several in one implicit transaction. The error has Postgres' message, its
 * detail and the first line of its context. */
bool target_session_run(struct session *session, const char *sql, struct error *err);

/* The code (manual, appendix A: "40P01" is a deadlock) of the last error that the server reported
 * in this session, of a COPY, too; "" when the last statement failed without one, or did not. */
const char *target_session_sqlstate(const struct session *session);

/* How often the server has warned in this session; what it said is logged as debug. */
uint64_t target_session_warnings(const struct session *session);

/* Switches off triggers and with them the checks of foreign keys, for the rest of the session.
 * *done is false, without an error, when this role may not. To be called outside of a
 * transaction. */
bool target_session_disable_triggers(struct session *session, bool *done, struct error *err);

#endif
