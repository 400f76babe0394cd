/*
 * A backup as what it is, plain SQL, checked before it is given out.
 */
#ifndef RESTORE_PLAIN_SCRIPT_H
#define RESTORE_PLAIN_SCRIPT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"
#include "restore/backup_source.h"
#include "stream/stage.h"

/* Writes its SQL to `out` (neither finished nor freed). With a manifest each segment is checked
 * before it is written; without one the whole backup is read once before, to be checked.
 * `raw_bytes` (may be NULL) grows with what is written. */
bool plain_script_write(const struct backup_source *source, struct stage *out,
                        atomic_uint_least64_t *raw_bytes, struct error *err);

#endif
