/*
 * Fills an empty database from a backup: the schema before the data, the rows by several sessions
 * at once, which also build indexes and constraints, and what else the schema has after the data.
 *
 * What it leaves when it fails is a part of the backup: the database is for dropping then.
 */
#ifndef RESTORE_FILL_H
#define RESTORE_FILL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/settings.h"
#include "postgres/session.h"
#include "restore/backup_source.h"
#include "restore/replay.h"

struct fill_options {
    const struct backup_source *source;
    const struct settings *settings;
    struct session *session; /* to the database */
    struct replay_rules rules;
    bool no_rows; /* the schema alone */
    /* Of each table of the manifest, NULL or the columns of its rows in their order, "(a, b)", as
     * the script has them: filled in, for the caller to free. NULL: not wanted. */
    char **columns;
    bool hides_values; /* as in struct target_session_options */
    /* Called now and then in the caller's thread; NULL: no progress. */
    void (*progress)(void *context, uint64_t raw_bytes);
    void *progress_context;
};

struct fill_result {
    uint64_t tables; /* 0 without a manifest */
    uint64_t rows;
    uint64_t raw_bytes;
};

/* Makes a session to the database ready for what the backup holds. In the form of struct
 * workers_options: `options` is a struct fill_options. */
bool fill_prepare_session(const void *options, struct session *session, struct error *err);
/* All of a database, on the server that it was dumped from, with its locales and extensions: what
 * is refused there is the backup's fault. */
bool fill_is_like_source(const struct fill_options *options);

bool fill_database(const struct fill_options *options, struct fill_result *result,
                   struct error *err);

#endif
