/*
 * Restores a backup, or some tables of it, into a database.
 *
 * All of a backup goes into a scratch database beside the target, which is renamed to the target's
 * name when everything is in it: the target is whole or untouched, whatever dies. Some tables, or
 * rows alone, go into the existing database in one transaction.
 */
#ifndef RESTORE_RESTORE_H
#define RESTORE_RESTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/settings.h"
#include "postgres/session.h"
#include "store/backup_object.h"
#include "store/store.h"

enum restore_part { RESTORE_ALL, RESTORE_SCHEMA, RESTORE_ROWS };

struct restore_request {
    const struct settings *settings;
    struct store *store;
    const struct backup_object *backup;
    const struct session_options *target;
    enum restore_part part;
    const char *const *tables; /* SCHEMA.TABLE, these alone */
    size_t table_count;        /* 0: all */
    bool create;               /* the target, which must not exist */
    bool clean;                /* replaces what the target holds */
    bool create_roles;         /* that are missing, NOLOGIN */
    bool no_owner;
    bool no_privileges;
    /* Called now and then; NULL: no progress. */
    void (*progress)(void *context, uint64_t raw_bytes);
    void *progress_context;
};

struct restore_outcome {
    char database[64 * 4]; /* the target's name */
    bool has_rows;         /* tables and rows are known */
    uint64_t tables;
    uint64_t rows;
    uint64_t raw_bytes;
    int64_t duration_ms;
};

bool restore_run(const struct restore_request *request, struct restore_outcome *outcome,
                 struct error *err);

#endif
