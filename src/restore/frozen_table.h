/*
 * A table that is filled in one transaction, so that its rows can be frozen (manual, COPY, FREEZE).
 *
 * Whoever reads other rows for the first time, as the building of an index does, writes into each
 * page that they are visible: the table once more, and on a server with checksums into the log,
 * too.
 */
#ifndef RESTORE_FROZEN_TABLE_H
#define RESTORE_FROZEN_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "postgres/session.h"

/* Of a smaller one, the file that TRUNCATE makes costs more than the freezing saves. */
#define FROZEN_TABLE_LEAST_BYTES ((uint64_t)1024 * 1024)

/* Starts as zeroes; of one session. Nobody else may fill the table before the commit. */
struct frozen_table {
    bool is_begun; /* a transaction is open */
};

/* Before each COPY of the table's, whose name is as SQL has it: the first begins the transaction,
 * with TRUNCATE; then the COPY is to be sent with FREEZE. Where the server refuses that (a right, a
 * partitioned table), or the table has rows (its extension's), is_begun stays false, and the COPY
 * is to be sent as it is, outside of any transaction, and so must all others of the table be. */
bool frozen_table_begin(struct frozen_table *table, struct session *session, const char *name,
                        size_t length, struct error *err);
/* After the last one, or earlier, when others are to fill it, too: nothing of the table may be
 * begun again after that, for it would be emptied. Does nothing where no transaction was begun.
 */
bool frozen_table_commit(struct frozen_table *table, struct session *session, struct error *err);

#endif
