/*
 * A connection pooler in front of Postgres: PgBouncer and its kind, told apart by what they do and
 * not by name. With one that gives each transaction (or statement) whatever server process is free,
 * the lock means nothing and settings reach other clients; with one that gives a client a process
 * for as long as it is connected, and cleans it up afterwards, a session is as good as any.
 */
#ifndef POSTGRES_POOLER_H
#define POSTGRES_POOLER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "postgres/session.h"

/* Finds out which kind it is, within `limit_ms`, with reading queries alone: nothing is set in any
 * session, and nothing stays. True when `session` has a server process of its own, whose id is then
 * *pid, and the pooler resets such a process when its client has gone. Otherwise ERROR_CONFIG, or
 * why it could not be found out. */
bool pooler_examine(struct session *session, int64_t limit_ms, int64_t *pid, struct error *err);

/* The error for a pooler that does not give the session a process of its own; always false. */
bool pooler_refuse(struct session *session, struct error *err);

#endif
