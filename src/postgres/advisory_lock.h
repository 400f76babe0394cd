/*
 * The lock that makes one process at a time back up a schedule: a session-level advisory lock
 * (PostgreSQL manual, "Advisory Locks"), held by a session of its own for the whole run.
 */
#ifndef POSTGRES_ADVISORY_LOCK_H
#define POSTGRES_ADVISORY_LOCK_H

#include <stdbool.h>

#include "base/error.h"
#include "postgres/session.h"

/* *taken is false, without an error, when another session holds it. (session_open() has made sure
 * that the session has a server process of its own, also behind a pooler.) */
bool advisory_lock_try(struct session *session, const char *schedule_id, bool *taken,
                       struct error *err);

/* True while this session holds it, asked of the server now. */
bool advisory_lock_held(struct session *session, const char *schedule_id, struct error *err);

/* For a session that is about to be closed: its end releases the lock, too, but session_close()
 * does not wait for that, and who is to take it next would find it held. Does what it can within
 * seconds. */
void advisory_lock_release(struct session *session, const char *schedule_id);

#endif
