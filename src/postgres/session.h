/*
 * A connection to Postgres, with an end to every wait (invariant I10) and an ear for the stop flag.
 * The only folder that uses libpq.
 *
 * Whatever the role or database sets that would kill a long run (statement_timeout,
 * idle_session_timeout, ...) is overridden as soon as the session is open.
 */
#ifndef POSTGRES_SESSION_H
#define POSTGRES_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/wait.h"

struct session;
struct session_password;

struct session_options {
    const char *conninfo; /* DATABASE_URL's value, or NULL for libpq's own variables */
    const char *given_by; /* what errors call it ("--to"); NULL: "DATABASE_URL" */
    int64_t connect_s;    /* limit for connecting */
    /* For a connection string that has none; must outlive the sessions. It is sent over TLS, or to
     * this host, alone. NULL: libpq's own ways. */
    const struct session_password *password;
    /* At most one is not NULL: another database of that server, or a service of libpq's service
     * file that says where; with the same credentials. */
    const char *dbname;
    const char *service;
    /* What --now asks for: the time that every query calls now, minus the server's. */
    int64_t clock_shift_ms;
    bool ignore_stop; /* goes on after a stop was requested: for cleaning up */
};

/* A server that cannot be reached or refuses us is ERROR_FAILED; a wrong connection string is
 * ERROR_CONFIG, and so is a pooler in between that does not give us a session (postgres/pooler.h).
 * No text holds the password. */
bool session_open(const struct session_options *options, struct session **out, struct error *err);
/* For pooler.c: one more connection to the very place where this session is connected. Nothing has
 * been set or asked in it. */
bool session_open_again(struct session *session, const struct deadline *deadline,
                        struct session **out, struct error *err);
/* One more session like this one: the same server, database and role, the same settings. */
bool session_open_beside(struct session *session, struct session **out, struct error *err);
/* The same in another database of that very server, however many the connection string names. */
bool session_open_in(struct session *session, const char *dbname, struct session **out,
                     struct error *err);
/* From another thread, of a session that session_open_beside() opened: whatever its owner is
 * waiting for ends with an error. It is only good for closing then. */
void session_interrupt(struct session *session);
/* NULL is fine. Any lock the session held is released by the server. */
void session_close(struct session *session);

/* From here on no statement of it may take longer. */
void session_limit(struct session *session, int64_t limit_ms);

/* From here on its waits go on after a stop was requested: for cleaning up. */
void session_ignore_stop(struct session *session);

/* True while the server answers on it. */
bool session_is_alive(struct session *session);
/* From another thread, as session_interrupt(): true when the server has ended it, or does within so
 * long. */
bool session_has_hung_up(const struct session *session, int within_ms);
/* True when the last statement failed because a lock was not to be had in time. */
bool session_lacked_lock(const struct session *session);

struct server_facts {
    int version_number;    /* 150020 */
    char version[64];      /* "15.20" */
    char database[64 * 4]; /* its name */
    char encoding[32];     /* "UTF8" */
};
void session_facts(const struct session *session, struct server_facts *out);

/* The database server's clock, shifted as --now asks (invariant I8). */
bool session_now(struct session *session, int64_t *now_ms, struct error *err);
/* The instant that a --now argument means, read by the server (any form Postgres takes; UTC unless
 * it says otherwise), minus the server's clock. */
bool session_parse_shift(struct session *session, const char *timestamp, int64_t *shift_ms,
                         struct error *err);

#endif
