/*
 * What a user gives us to reach a database: a libpq connection string, a URI, or a plain database
 * name, as psql takes them.
 *
 * libpq's own messages about a malformed one quote pieces of it, the password among them, so it is
 * examined here first and nothing of its value is ever shown (invariant I9).
 */
#ifndef POSTGRES_CONNINFO_H
#define POSTGRES_CONNINFO_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define CONNINFO_MOST 64

struct conninfo {
    const char *keywords[CONNINFO_MOST]; /* NULL-terminated, for PQconnectStartParams() */
    const char *values[CONNINFO_MOST];
    size_t count;
    void *parsed; /* owns what the arrays point to */
};
#define CONNINFO_INIT                                                                              \
    {                                                                                              \
        .count = 0                                                                                 \
    }

/* Takes `text`, which must outlive *out, apart; NULL means libpq's environment variables alone. A
 * password in it is registered for redaction. On failure the error tells what is wrong with
 * `given_by` ("DATABASE_URL") without quoting its value. */
bool conninfo_parse(const char *text, const char *given_by, struct conninfo *out,
                    struct error *err);
void conninfo_clear(struct conninfo *conninfo);

/* Is this option's value a secret? `display` is libpq's dispchar. */
bool conninfo_is_secret(const char *keyword, const char *display);

/* The same credentials and options for another place: a database of the same server, or a service
 * of libpq's service file, which then says host, port and database. At most one is not NULL; both
 * are borrowed. */
void conninfo_retarget(struct conninfo *conninfo, const char *dbname, const char *service);

/* libpq's environment variables that say where, put away: it takes what a service does not say from
 * them. Nothing is kept when that fails. No other thread may use the environment meanwhile. */
#define CONNINFO_PLACE_VARIABLES 4
struct conninfo_place {
    char *values[CONNINFO_PLACE_VARIABLES];
};
bool conninfo_place_hide(struct conninfo_place *out, struct error *err);
/* Puts them back. */
void conninfo_place_restore(struct conninfo_place *place);

/* Which database it names, by libpq's own rules: here, in a service, in the environment, or else
 * the user's name. Nothing is connected to. One that is not named, or whose name does not fit in
 * `size` bytes, is an error. */
bool conninfo_database(const char *text, const char *given_by, char *out, size_t size,
                       struct error *err);

/* Is this keyword set? */
bool conninfo_has(const struct conninfo *conninfo, const char *keyword);

/* Who else gets a secret that is sent there as it is? */
enum conninfo_privacy {
    CONNINFO_IN_THE_CLEAR,
    CONNINFO_TO_ANYBODY, /* over TLS, to whoever answers: sslmode=require, the user's choice */
    CONNINFO_PRIVATE,    /* this host, or one whose certificate is checked */
};
/* The values of keywords, as PQconninfo() gives them. With a file of root certificates libpq takes
 * require for verify-ca (manual, "SSL Support"). */
struct conninfo_way {
    const char *sslmode;
    const char *sslrootcert;
    const char *host;
    const char *hostaddr;
};
enum conninfo_privacy conninfo_privacy(const struct conninfo_way *way);

/* Adds a keyword at the end unless it is set already. Both strings are borrowed. */
void conninfo_default(struct conninfo *conninfo, const char *keyword, const char *value);

#endif
