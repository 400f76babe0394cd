#include "backup/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

#define REDRAW_MS 250

void progress_begin(struct progress *progress, const char *doing, uint64_t estimated_bytes,
                    bool wanted)
{
    *progress = (struct progress){
        .enabled = wanted && isatty(STDERR_FILENO) == 1,
        .doing = doing,
        .estimated_bytes = estimated_bytes,
        .began_ms = clock_monotonic_ms(),
    };
}

void progress_format(char out[PROGRESS_TEXT_SIZE], const struct progress *progress, uint64_t bytes,
                     int64_t elapsed_ms)
{
    char done[TEXT_BYTES_SIZE];
    char rate[TEXT_BYTES_SIZE];
    char left[CLOCK_DURATION_SIZE];
    uint64_t per_second = elapsed_ms > 0 ? bytes * 1000 / (uint64_t)elapsed_ms : 0;

    text_format_bytes(done, bytes);
    text_format_bytes(rate, per_second);
    /* The total is an estimate: past it, nothing is known. */
    if (progress->estimated_bytes <= bytes || per_second == 0) {
        snprintf(out, PROGRESS_TEXT_SIZE, "%s  %s  %s/s", progress->doing, done, rate);
        return;
    }
    clock_format_duration(left, (int64_t)((progress->estimated_bytes - bytes) / per_second) * 1000);
    snprintf(out, PROGRESS_TEXT_SIZE, "%s  %s  %s/s  ~%u %%  ETA %s", progress->doing, done, rate,
             (unsigned)(100.0 * (double)bytes / (double)progress->estimated_bytes), left);
}

void progress_update(void *context, uint64_t bytes)
{
    struct progress *progress = context;
    char line[PROGRESS_TEXT_SIZE];

    if (!progress->enabled) {
        return;
    }
    int64_t now_ms = clock_monotonic_ms();
    if (now_ms - progress->drawn_ms < REDRAW_MS) {
        return;
    }
    progress->drawn_ms = now_ms;
    progress_format(line, progress, bytes, now_ms - progress->began_ms);
    /* ESC [ K: erase to the end of the line (ECMA-48, EL). */
    dprintf(STDERR_FILENO, "\r%s\033[K", line);
}

void progress_end(struct progress *progress)
{
    if (progress->enabled && progress->drawn_ms != 0) {
        dprintf(STDERR_FILENO, "\r\033[K");
    }
    progress->enabled = false;
}
