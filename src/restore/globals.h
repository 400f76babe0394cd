/*
 * The server's roles that a backup holds: makes those that the server does not have, with their
 * settings and memberships.
 */
#ifndef RESTORE_GLOBALS_H
#define RESTORE_GLOBALS_H

#include <stdbool.h>

#include "base/error.h"
#include "postgres/session.h"
#include "restore/backup_source.h"
#include "restore/segment_reader.h"

/* In a session of its own beside this one. What the role may not make is left out, with a warning;
 * a backup without roles is none of them. They stay whatever becomes of the restore. */
bool globals_restore(const struct backup_source *source, struct session *beside, struct error *err);

/* Reads them, if the backup holds any, and runs nothing: what they are is what was stored, or an
 * error. */
bool globals_check(const struct backup_source *source, struct segment_reader *reader,
                   struct error *err);

#endif
