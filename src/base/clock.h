/*
 * The host's clocks and the text forms of an instant. Invariant I8: what a schedule means by "now"
 * comes from the database server; from here come durations (monotonic) and the dates that request
 * signatures need (UTC). An instant is milliseconds since 1970-01-01T00:00:00Z.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

int64_t clock_monotonic_ms(void);
int64_t clock_utc_ms(void);

/* 2025-01-30T02:00:00.000Z (ISO 8601, always UTC and milliseconds). */
#define CLOCK_ISO_SIZE 96
void clock_format_iso(char out[CLOCK_ISO_SIZE], int64_t instant_ms);
/* 2025-01-30, 2025-01-30T02:00Z, 2025-01-30T02:00:00.123Z, or +00:00 instead of Z; UTC in any case.
 * More digits of a second than three are passed over. */
bool clock_parse_iso(const char *date, int64_t *instant_ms);
/* Fri, 01 May 2026 12:00:00 GMT (RFC 9110 section 5.6.7), whatever the locale. */
#define CLOCK_HTTP_SIZE 96
void clock_format_http(char out[CLOCK_HTTP_SIZE], int64_t instant_ms);
bool clock_parse_http(const char *date, int64_t *instant_ms);
/* "8s", "3m 12s", "2h 5m 0s". */
#define CLOCK_DURATION_SIZE 32
void clock_format_duration(char out[CLOCK_DURATION_SIZE], int64_t duration_ms);

/* A date and time of day in UTC as milliseconds since the epoch; false for one that does not exist
 * (month 13, 30 February, 24:00). */
bool clock_from_civil(int year, int month, int day, int hour, int minute, int second, int ms,
                      int64_t *instant_ms);

#endif
