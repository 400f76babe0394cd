/*
 * One view of a database that several sessions share (manual, "Snapshot Synchronization
 * Functions").
 *
 * The order matters: locks first, snapshot second. TRUNCATE and rewriting forms of ALTER TABLE are
 * not MVCC-safe: with a snapshot from before one, the table reads as empty, without an error
 * (manual, "Caveats"). In a transaction of isolation level REPEATABLE READ, LOCK TABLE does not
 * take the snapshot, so what changed before the lock was had is in it, and nothing can change
 * after.
 */
#ifndef POSTGRES_SNAPSHOT_H
#define POSTGRES_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "postgres/session.h"
#include "postgres/table_catalogue.h"

#define SNAPSHOT_ID_SIZE 64

/* Begins the transaction, of which no statement must need a snapshot until snapshot_export(). */
bool snapshot_begin(struct session *session, struct error *err);

/* Takes ACCESS SHARE locks on every table of the list. When the lock of one is not had within
 * lock_s, the error names the table and who is in the way. *changed: a table is gone, and the list
 * has to be read anew. Either way the transaction has to be ended then. */
bool snapshot_lock(struct session *session, const struct table_catalogue *tables, int64_t lock_s,
                   bool *changed, struct error *err);

/* Takes the snapshot. The id is good for snapshot_join() and pg_dump --snapshot while this
 * transaction lasts. *at_ms: the server's clock. */
bool snapshot_export(struct session *session, char id[SNAPSHOT_ID_SIZE], int64_t *at_ms,
                     struct error *err);

/* Begins a transaction in another session that sees what the snapshot has. */
bool snapshot_join(struct session *session, const char *id, struct error *err);

/* True when the session's last statement failed as snapshot_join() does when the one that exported
 * the snapshot is no longer there. */
bool snapshot_was_gone(const struct session *session);

/* Ends the transaction and frees the locks. Also after a failure. */
void snapshot_end(struct session *session);

/* Prepares a session for reading what a dump writes: the parameters that pg_dump sets, so that no
 * setting of the role or the database changes a byte, and the database's own encoding. */
bool snapshot_prepare_reader(struct session *session, struct error *err);

#endif
