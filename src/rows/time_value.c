#include "rows/time_value.h"

#include <stdbool.h>
#include <stdint.h>

#include "rows/network_order.h"

#define SECOND INT64_C(1000000)
#define DAY    (24 * 3600 * SECOND)
/* Days from 0001-01-01 to 2000-01-01, both Gregorian. */
#define DAYS_TO_2000 730119

/* What is left of a text. */
struct reading {
    const char *at;
    const char *end;
};

static bool take(struct reading *reading, char c)
{
    if (reading->at == reading->end || *reading->at != c) {
        return false;
    }
    reading->at++;
    return true;
}

/* Exactly so many digits. */
static bool take_number(struct reading *reading, int digits, int *out)
{
    int value = 0;

    if (reading->end - reading->at < digits) {
        return false;
    }
    for (int i = 0; i < digits; i++) {
        unsigned digit = (unsigned)(*reading->at++ - '0');
        if (digit > 9) {
            return false;
        }
        value = value * 10 + (int)digit;
    }
    *out = value;
    return true;
}

static bool is_leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* YYYY-MM-DD, in days since 2000-01-01. */
static bool take_date(struct reading *reading, int32_t *out)
{
    /* before the month's first, and in the end after its last: of a common year */
    static const int days_before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    int year;
    int month;
    int day;

    if (!take_number(reading, 4, &year) || !take(reading, '-') ||
        !take_number(reading, 2, &month) || !take(reading, '-') || !take_number(reading, 2, &day) ||
        year < 1 || month < 1 || month > 12 || day < 1) {
        return false;
    }
    int leap_day = is_leap(year) ? 1 : 0;
    if (day > days_before[month] - days_before[month - 1] + (month == 2 ? leap_day : 0)) {
        return false;
    }
    int before = year - 1;
    *out = before * 365 + before / 4 - before / 100 + before / 400 + days_before[month - 1] +
           (month > 2 ? leap_day : 0) + day - 1 - DAYS_TO_2000;
    return true;
}

/* Up to six digits behind the point. */
static bool take_fraction(struct reading *reading, int64_t *out)
{
    int64_t unit = SECOND;
    int64_t value = 0;

    while (reading->at < reading->end && *reading->at >= '0' && *reading->at <= '9') {
        unit /= 10;
        value += (*reading->at++ - '0') * unit;
        if (unit == 0) {
            return false;
        }
    }
    *out = value;
    return unit < SECOND;
}

/* HH:MM:SS[.FRACTION], in microseconds since midnight. */
static bool take_time(struct reading *reading, int64_t *out)
{
    int hour;
    int minute;
    int second;
    int64_t fraction = 0;

    if (!take_number(reading, 2, &hour) || !take(reading, ':') ||
        !take_number(reading, 2, &minute) || !take(reading, ':') ||
        !take_number(reading, 2, &second) || hour > 23 || minute > 59 || second > 59 ||
        (take(reading, '.') && !take_fraction(reading, &fraction))) {
        return false;
    }
    *out = (hour * 3600 + minute * 60 + second) * SECOND + fraction;
    return true;
}

static bool take_timestamp(struct reading *reading, int64_t *out)
{
    int32_t days;
    int64_t time;

    if (!take_date(reading, &days) || !take(reading, ' ') || !take_time(reading, &time)) {
        return false;
    }
    *out = days * DAY + time;
    return true;
}

/* A sign, HH[:MM[:SS]]: how far the clock is before UTC. */
static bool take_offset(struct reading *reading, int64_t *out)
{
    bool is_before = take(reading, '+');
    int hours;
    int minutes = 0;
    int seconds = 0;

    if ((!is_before && !take(reading, '-')) || !take_number(reading, 2, &hours)) {
        return false;
    }
    if (take(reading, ':') && (!take_number(reading, 2, &minutes) ||
                               (take(reading, ':') && !take_number(reading, 2, &seconds)))) {
        return false;
    }
    /* MAX_TZDISP_HOUR */
    if (hours > 15 || minutes > 59 || seconds > 59) {
        return false;
    }
    int64_t offset = (hours * 3600 + minutes * 60 + seconds) * SECOND;
    *out = is_before ? offset : -offset;
    return true;
}

unsigned char *date_encode(const char *text, size_t length, unsigned char *out)
{
    struct reading reading = {text, text + length};
    int32_t days;

    return take_date(&reading, &days) && reading.at == reading.end ? put_32(out, (uint32_t)days)
                                                                   : NULL;
}

unsigned char *time_encode(const char *text, size_t length, unsigned char *out)
{
    struct reading reading = {text, text + length};
    int64_t time;

    return take_time(&reading, &time) && reading.at == reading.end ? put_64(out, (uint64_t)time)
                                                                   : NULL;
}

unsigned char *timestamp_encode(const char *text, size_t length, unsigned char *out)
{
    struct reading reading = {text, text + length};
    int64_t timestamp;

    return take_timestamp(&reading, &timestamp) && reading.at == reading.end
               ? put_64(out, (uint64_t)timestamp)
               : NULL;
}

unsigned char *instant_encode(const char *text, size_t length, unsigned char *out)
{
    struct reading reading = {text, text + length};
    int64_t timestamp;
    int64_t offset;

    return take_timestamp(&reading, &timestamp) && take_offset(&reading, &offset) &&
                   reading.at == reading.end
               ? put_64(out, (uint64_t)(timestamp - offset))
               : NULL;
}
