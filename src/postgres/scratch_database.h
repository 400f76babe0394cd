/*
 * Databases that exist for the length of a restore: made, filled, looked at or swapped in, and
 * dropped. And what a run that died has left of them.
 *
 * All is done in a maintenance session: in another database of the target's server, open for the
 * whole restore. It holds a session-level advisory lock for each scratch database, taken before the
 * database is there, so that one without a lock is a dead run's. Advisory locks belong to a
 * database, and two runs may have chosen different ones: whether a lock is free is therefore asked
 * of all (pg_locks).
 */
#ifndef POSTGRES_SCRATCH_DATABASE_H
#define POSTGRES_SCRATCH_DATABASE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/database_locale.h"
#include "base/error.h"
#include "postgres/session.h"

enum scratch_kind {
    SCRATCH_RESTORE,  /* rythm_restore_0123456789abcdef */
    SCRATCH_VERIFY,   /* rythm_verify_... */
    SCRATCH_REPLACED, /* rythm_replaced_...: what a restored one has taken the place of */
};

#define SCRATCH_NAME_SIZE 40

/* Opens a maintenance session in "postgres", or else in "template1", of the server that
 * options->conninfo names; never in the database `target` (NULL: none). options->dbname is not
 * looked at. */
bool scratch_database_open_session(const struct session_options *options, const char *target,
                                   struct session **out, struct error *err);

/* Drops every database that has a scratch name and nobody's lock. One that is another role's, or
 * that cannot be dropped, is warned of and left. *count: how many were dropped. */
bool scratch_database_remove_orphans(struct session *session, size_t *count, struct error *err);

struct scratch_options {
    enum scratch_kind kind;
    /* As this database is, if there is one of that name: owner, encoding, locale, tablespace.
     * NULL, or none: `encoding` (NULL: the server's) and `locale`; where the server has no such
     * locale, or it is NULL, with the server's own if that fits the encoding, or else C. A warning
     * says so when it is another than wanted. */
    const char *like;
    const char *encoding;
    const struct database_locale *locale;
};

/* Takes the lock and makes an empty database that nobody else may connect to but superusers. *name
 * is filled in also when it fails, and drop() is then harmless. That this role may not create
 * databases is ERROR_CONFIG and says what is missing. */
bool scratch_database_create(struct session *session, const struct scratch_options *options,
                             char name[SCRATCH_NAME_SIZE], struct error *err);

/* For the swap: another name that is free, with its lock. */
bool scratch_database_reserve(struct session *session, enum scratch_kind kind,
                              char name[SCRATCH_NAME_SIZE], struct error *err);

/* Is the lock of that name still this session's? */
bool scratch_database_is_held(struct session *session, const char *name, bool *held,
                              struct error *err);

/* Drops a scratch database, and refuses any other; sessions in it are ended. One that does not
 * exist is fine, and so is a maintenance session in which something has failed. Frees the lock. */
bool scratch_database_drop(struct session *session, const char *name, struct error *err);

/* Drops it at the end, also after a stop: the session is good for nothing but cleaning up then.
 * What stays for the next restore or verification is warned of. */
void scratch_database_clean_up(struct session *session, const char *name);

/* Does it have the form of a scratch database's name? */
bool scratch_database_is_name(const char *name);

#endif
