/*
 * Tables of a backup, or rows alone, into the existing database: in one transaction.
 */
#ifndef RESTORE_TABLE_RESTORE_H
#define RESTORE_TABLE_RESTORE_H

#include <stdbool.h>

#include "base/error.h"
#include "restore/backup_source.h"
#include "restore/restore.h"

/* As restore_run() does for a request with tables, or for rows alone. The backup has a manifest. */
bool table_restore_run(const struct restore_request *request, const struct backup_source *source,
                       struct session *session, struct restore_outcome *outcome, struct error *err);

#endif
