/*
 * Does a database hold what a manifest says? Every table is read again, its rows are counted and
 * summed as they were when they were dumped, and compared; and so are large objects.
 */
#ifndef RESTORE_COMPARISON_H
#define RESTORE_COMPARISON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/settings.h"
#include "postgres/session.h"
#include "store/manifest_read.h"

struct comparison {
    const struct manifest_copy *manifest;
    const struct settings *settings;
    /* As fill.h has them: in the database they may be in another order, when the table inherits. */
    char *const *columns;
    struct session *session; /* to the database; JOBS more are opened beside it */
};

/* ERROR_DAMAGED names the first table (in the order of the manifest) whose rows differ, and says
 * how many others do. *tables and *rows are what was compared. */
bool comparison_run(const struct comparison *comparison, uint64_t *tables, uint64_t *rows,
                    struct error *err);

#endif
