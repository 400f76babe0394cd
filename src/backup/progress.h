/*
 * The progress line: on a terminal, one line on standard error that is drawn again as bytes pass.
 */
#ifndef BACKUP_PROGRESS_H
#define BACKUP_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool enabled;
    const char *doing;        /* "Dumping" */
    uint64_t estimated_bytes; /* 0: not known */
    int64_t began_ms;
    int64_t drawn_ms;
};

/* Draws only when `wanted` and standard error is a terminal. */
void progress_begin(struct progress *progress, const char *doing, uint64_t estimated_bytes,
                    bool wanted);
/* Cheap: draws at most a few times a second. `progress` is a struct progress: the form that
 * struct dump_options calls. */
void progress_update(void *progress, uint64_t bytes);
/* Wipes the line, so that the log can go on. */
void progress_end(struct progress *progress);

/* "Dumping  1.2 GB  85.3 MB/s  42 %  ETA 12s": what is drawn; bytes per second from elapsed. */
#define PROGRESS_TEXT_SIZE 160
void progress_format(char out[PROGRESS_TEXT_SIZE], const struct progress *progress, uint64_t bytes,
                     int64_t elapsed_ms);

#endif
