/*
 * One section of the schema, as pg_dump writes it, made a part of a larger script.
 *
 * Each section is a script of its own: it begins with a comment and a \restrict line, and ends with
 * a comment and an \unrestrict line. Of the first section the beginning is kept, of the last one
 * the end, so that the whole stands between one \restrict and one \unrestrict.
 */
#ifndef DUMP_SECTION_SCRIPT_H
#define DUMP_SECTION_SCRIPT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/process.h"
#include "dump/segment_stream.h"

struct section_script {
    bool is_last;             /* post-data, else pre-data */
    const char *restrict_key; /* NULL: pg_dump writes no such lines */
    struct process process;   /* runs */
    int64_t stall_ms;
    atomic_bool at_end; /* all that it wrote was read: it is ending */
    bool interrupted;   /* because we ended it */
};

/* Waits until it begins to write: by then it has its locks and has read the catalogue. *ended: it
 * has written nothing and is at its end. */
bool section_script_wait(struct section_script *script, bool *ended, struct error *err);
/* Writes the section, up to its end. Whether pg_dump ended well is for section_script_close(). */
bool section_script_copy(struct section_script *script, struct segment_stream *stream,
                         struct error *err);
/* From another thread: the copying ends soon, unless it has ended already. */
void section_script_interrupt(struct section_script *script);
/* Waits for its end. False with what pg_dump said when that was not a good one. */
bool section_script_close(struct section_script *script, struct error *err);

#endif
