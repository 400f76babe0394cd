/*
 * A dump to a file or to standard output: no store, no ledger, no lock.
 */
#ifndef BACKUP_EXPORT_H
#define BACKUP_EXPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/scope.h"
#include "base/settings.h"
#include "postgres/session.h"
#include "stream/compress.h"
#include "stream/digest_stage.h"

struct export_request {
    const struct settings *settings;
    struct session *session;
    struct compression compression;
    const struct scope *scope;
    const char *restrict_key; /* NULL: a random one */
    const char *path;         /* "-" is standard output */
    bool show_progress;
};

/* Writes `path` whole or not at all: a file comes into being, or is replaced, by a rename at the
 * end. A device or pipe is written as it is. */
bool export_run(const struct export_request *request, struct stream_digest *written,
                struct error *err);

#endif
