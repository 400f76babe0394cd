/*
 * The last lines of the log, kept for whoever wants to show them: masked and cleaned as they were
 * logged, without marks, of the levels up to LOG_INFO, also when those are not shown. Any thread
 * may add to it.
 */
#ifndef BASE_LOG_TAIL_H
#define BASE_LOG_TAIL_H

#include <stdint.h>

#define LOG_TAIL_BYTES 8192

/* Adds one line, without its end. */
void log_tail_add(const char *line);
/* How much has been added so far: for log_tail_copy(). */
uint64_t log_tail_position(void);
/* What was added since that position, whole lines, as many of the last ones as there is room for.
 */
void log_tail_copy(uint64_t since, char out[LOG_TAIL_BYTES + 1]);

#endif
