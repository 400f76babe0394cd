#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const day_names[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const month_names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static int64_t read_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_monotonic_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}

int64_t clock_utc_ms(void)
{
    return read_ms(CLOCK_REALTIME);
}

/* Splits rounding towards the past, so that instants before 1970 come out right too. */
static struct tm split(int64_t instant_ms, int *ms)
{
    struct tm civil = {0};
    int64_t seconds = instant_ms / 1000;
    int64_t rest = instant_ms % 1000;

    if (rest < 0) {
        rest += 1000;
        seconds--;
    }
    time_t time = (time_t)seconds;
    gmtime_r(&time, &civil);
    *ms = (int)rest;
    return civil;
}

void clock_format_iso(char out[CLOCK_ISO_SIZE], int64_t instant_ms)
{
    int ms;
    struct tm civil = split(instant_ms, &ms);

    snprintf(out, CLOCK_ISO_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", civil.tm_year + 1900,
             civil.tm_mon + 1, civil.tm_mday, civil.tm_hour, civil.tm_min, civil.tm_sec, ms);
}

/* *rest: what follows. */
static bool parse_time(const char *time, int *hour, int *minute, int *second, int *ms,
                       const char **rest)
{
    int end = 0;

    if (sscanf(time, "T%2d:%2d%n", hour, minute, &end) != 2 || end != 6) {
        return false;
    }
    time += end;
    if (*time == ':') {
        end = 0;
        if (sscanf(time, ":%2d%n", second, &end) != 1 || end != 3) {
            return false;
        }
        time += end;
    }
    if (*time == '.') {
        char digits[4] = "000";
        size_t count = strspn(time + 1, "0123456789");
        memcpy(digits, time + 1, count < 3 ? count : 3);
        *ms = atoi(digits);
        time += 1 + count;
    }
    *rest = time;
    return true;
}

bool clock_parse_iso(const char *date, int64_t *instant_ms)
{
    int year, month, day;
    int hour = 0;
    int minute = 0;
    int second = 0;
    int ms = 0;
    int end = 0;

    if (sscanf(date, "%4d-%2d-%2d%n", &year, &month, &day, &end) != 3 || end != 10) {
        return false;
    }
    const char *rest = date + end;
    if (*rest != '\0' && (!parse_time(rest, &hour, &minute, &second, &ms, &rest) ||
                          (strcmp(rest, "Z") != 0 && strcmp(rest, "+00:00") != 0))) {
        return false;
    }
    return clock_from_civil(year, month, day, hour, minute, second, ms, instant_ms);
}

void clock_format_http(char out[CLOCK_HTTP_SIZE], int64_t instant_ms)
{
    int ms;
    struct tm civil = split(instant_ms, &ms);

    snprintf(out, CLOCK_HTTP_SIZE, "%s, %02d %s %04d %02d:%02d:%02d GMT", day_names[civil.tm_wday],
             civil.tm_mday, month_names[civil.tm_mon], civil.tm_year + 1900, civil.tm_hour,
             civil.tm_min, civil.tm_sec);
}

bool clock_parse_http(const char *date, int64_t *instant_ms)
{
    char month[4];
    int day, year, hour, minute, second;
    int end = 0;

    if (sscanf(date, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n", &day, month, &year, &hour,
               &minute, &second, &end) != 6 ||
        end == 0 || date[end] != '\0') {
        return false;
    }
    for (int i = 0; i < 12; i++) {
        if (strcmp(month, month_names[i]) == 0) {
            return clock_from_civil(year, i + 1, day, hour, minute, second, 0, instant_ms);
        }
    }
    return false;
}

void clock_format_duration(char out[CLOCK_DURATION_SIZE], int64_t duration_ms)
{
    long long seconds = (duration_ms + 500) / 1000;

    if (seconds < 60) {
        snprintf(out, CLOCK_DURATION_SIZE, "%llds", seconds);
    } else if (seconds < 3600) {
        snprintf(out, CLOCK_DURATION_SIZE, "%lldm %llds", seconds / 60, seconds % 60);
    } else {
        snprintf(out, CLOCK_DURATION_SIZE, "%lldh %lldm %llds", seconds / 3600, seconds / 60 % 60,
                 seconds % 60);
    }
}

bool clock_from_civil(int year, int month, int day, int hour, int minute, int second, int ms,
                      int64_t *instant_ms)
{
    struct tm civil = {.tm_year = year - 1900,
                       .tm_mon = month - 1,
                       .tm_mday = day,
                       .tm_hour = hour,
                       .tm_min = minute,
                       .tm_sec = second};

    time_t time = timegm(&civil);
    /* timegm() carries 30 February over into March: what came back must be what went in. */
    if (civil.tm_year != year - 1900 || civil.tm_mon != month - 1 || civil.tm_mday != day ||
        civil.tm_hour != hour || civil.tm_min != minute || civil.tm_sec != second || ms < 0 ||
        ms > 999) {
        return false;
    }
    *instant_ms = (int64_t)time * 1000 + ms;
    return true;
}
