/*
 * What a backup needs of the server that it is restored on, found out by reading its schema (or all
 * of it, where it has no manifest) before anything is touched there.
 */
#ifndef RESTORE_SURVEY_H
#define RESTORE_SURVEY_H

#include <stdbool.h>

#include "base/error.h"
#include "restore/backup_source.h"
#include "restore/replay.h"
#include "restore/script_facts.h"

/* Reads what the rules leave of the backup into *facts, for script_facts_clear(). A backup without
 * a manifest has been read, and is known to be whole, afterwards. */
bool survey_read(const struct backup_source *source, const struct replay_rules *rules,
                 struct script_facts *facts, struct error *err);

#endif
