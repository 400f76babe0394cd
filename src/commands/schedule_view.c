#include "commands/schedule_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "commands/output.h"

#define MINUTE_MS     ((int64_t)60000)
#define DAY_MS        (1440 * MINUTE_MS)
#define TARGET_CAP    4096
#define MOST_NAMES    3 /* of a list that a table names */
#define AGE_SIZE      24
#define LOCAL_SIZE    48
#define KEEP_SIZE     128
#define ISO_TO_MINUTE 16 /* the length of 2031-05-06T02:00 */
#define ISO_TO_SECOND 19

static int in_order(const void *left, const void *right)
{
    const struct schedule *a = *(const struct schedule *const *)left;
    const struct schedule *b = *(const struct schedule *const *)right;

    if (a->is_default != b->is_default) {
        return a->is_default ? -1 : 1;
    }
    return strcmp(a->name, b->name);
}

bool schedule_view_select(const struct schedules *schedules, const char *id,
                          const struct schedule_details_list *details, struct schedule_view *out,
                          struct error *err)
{
    *out = (struct schedule_view){.details = details};
    out->items = calloc(schedules->count + 1, sizeof(struct schedule *));
    if (out->items == NULL) {
        return error_set_memory(err);
    }
    for (size_t i = 0; i < schedules->count; i++) {
        if (id == NULL || strcmp(schedules->items[i].id, id) == 0) {
            out->items[out->count++] = &schedules->items[i];
        }
    }
    qsort(out->items, out->count, sizeof(struct schedule *), in_order);
    return true;
}

void schedule_view_clear(struct schedule_view *view)
{
    free(view->items);
    *view = (struct schedule_view){.items = NULL};
}

/* The next number of "{1,NULL,-1}", which a wrong row may hold, too; false at its end. */
static bool next_day(const char **days, bool *known, long *day)
{
    char *end;

    *days += strspn(*days, "{},");
    if (**days == '\0') {
        return false;
    }
    *day = strtol(*days, &end, 10);
    *known = end != *days;
    *days = *known ? end : *days + strcspn(*days, ",}");
    return true;
}

static void append_days(struct text *text, const struct schedule *schedule)
{
    static const char *const names[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
    bool weekly = strcmp(schedule->frequency, "weekly") == 0;
    const char *days = schedule->days;
    const char *separator = " ";
    bool known;
    long day;

    while (next_day(&days, &known, &day)) {
        if (weekly && known && day >= 1 && day <= 7) {
            text_appendf(text, "%s%s", separator, names[day - 1]);
        } else if (known && day == -1) {
            text_appendf(text, "%slast", separator);
        } else if (known) {
            text_appendf(text, "%s%ld", separator, day);
        } else {
            text_appendf(text, "%s?", separator);
        }
        separator = ",";
    }
}

void schedule_view_when(char out[SCHEDULE_VIEW_WHEN_SIZE], const struct schedule *schedule)
{
    struct text text = TEXT_INIT(SCHEDULE_VIEW_WHEN_SIZE - 1);
    bool hourly = strcmp(schedule->frequency, "hourly") == 0;

    text_append(&text, schedule->frequency);
    if (strcmp(schedule->frequency, "weekly") == 0 || strcmp(schedule->frequency, "monthly") == 0) {
        append_days(&text, schedule);
    }
    const char *minute = strchr(schedule->time, ':');
    text_appendf(&text, " %s", hourly && minute != NULL ? minute : schedule->time);
    /* Of an hour only the minute counts, and that differs from UTC's in few zones. */
    if (!hourly || strcmp(schedule->zone, "UTC") != 0) {
        text_appendf(&text, " %s", schedule->zone);
    }
    snprintf(out, SCHEDULE_VIEW_WHEN_SIZE, "%s", text_string(&text));
    text_clear(&text);
}

void schedule_view_minute(char out[SCHEDULE_VIEW_MINUTE_SIZE], int64_t instant_ms)
{
    char iso[CLOCK_ISO_SIZE];

    clock_format_iso(iso, instant_ms);
    snprintf(out, SCHEDULE_VIEW_MINUTE_SIZE, "%.*sZ", ISO_TO_MINUTE, iso);
}

/* "45s", "4m", "5h", "12d": how long ago. */
static void format_age(char out[AGE_SIZE], int64_t age_ms)
{
    static const struct {
        int64_t seconds;
        char unit;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    int64_t age_s = age_ms > 0 ? age_ms / 1000 : 0;

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (age_s >= units[i].seconds || units[i].seconds == 1) {
            snprintf(out, AGE_SIZE, "%" PRId64 "%c", age_s / units[i].seconds, units[i].unit);
            return;
        }
    }
}

void schedule_view_with_age(char out[SCHEDULE_VIEW_WITH_AGE_SIZE], int64_t instant_ms,
                            int64_t now_ms)
{
    char minute[SCHEDULE_VIEW_MINUTE_SIZE];
    char age[AGE_SIZE];

    schedule_view_minute(minute, instant_ms);
    format_age(age, now_ms - instant_ms);
    snprintf(out, SCHEDULE_VIEW_WITH_AGE_SIZE, "%s (%s ago)", minute, age);
}

bool schedule_view_has_next(const struct schedule *schedule)
{
    return schedule->enabled && schedule->problem[0] == '\0';
}

static void append_list(struct text *text, const char *key, char *const *list)
{
    for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
        if (i == MOST_NAMES) {
            text_append(text, ",...");
            break;
        }
        if (i == 0) {
            text_appendf(text, " %s=", key);
        }
        text_appendf(text, "%s%s", i == 0 ? "" : ",", list[i]);
    }
}

/* An empty list says something, too. */
static void append_words(struct text *text, const char *key, char *const *words)
{
    if (words != NULL && words[0] == NULL) {
        text_appendf(text, " %s=none", key);
    }
    append_list(text, key, words);
}

/* "rythm", "service=other", "rythm schemas=app,audit", "stores=file:///mnt"; "-" for all of the
 * ledger's own database in the configured store. */
static void append_target(struct text *text, const struct schedule *schedule)
{
    if (schedule->all_databases) {
        text_append(text, " all databases");
    } else if (schedule->dbname != NULL) {
        text_appendf(text, " %s", schedule->dbname);
    }
    if (schedule->service != NULL) {
        text_appendf(text, " service=%s", schedule->service);
    }
    for (int i = 0; i < SCOPE_LISTS; i++) {
        append_list(text, scope_key((enum scope_list)i), schedule->scope.lists[i]);
    }
    if (schedule->stores != NULL) {
        text_appendf(text, " stores=%s", schedule->stores);
    }
    append_words(text, "channels", schedule->notify_channels);
    append_words(text, "notify-on", schedule->notify_on);
    if (text->length == 0) {
        text_append(text, " -");
    }
}

/* "30d", "30d last 3 weekly 4" */
static void format_keep(char out[KEEP_SIZE], const struct schedule *schedule)
{
    const struct {
        const char *name;
        int64_t count;
    } rules[] = {{"last", schedule->keep_last},
                 {"daily", schedule->keep_daily},
                 {"weekly", schedule->keep_weekly},
                 {"monthly", schedule->keep_monthly},
                 {"yearly", schedule->keep_yearly}};
    int used = snprintf(out, KEEP_SIZE, "%" PRId64 "d", schedule->retention_days);

    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]) && used < KEEP_SIZE; i++) {
        if (rules[i].count > 0) {
            used += snprintf(out + used, (size_t)(KEEP_SIZE - used), " %s %" PRId64, rules[i].name,
                             rules[i].count);
        }
    }
}

/* "-", "each", "1 in 7" */
static void format_verify(char out[32], const struct schedule *schedule)
{
    if (schedule->verify_every == 0) {
        snprintf(out, 32, "-");
    } else if (schedule->verify_every == 1) {
        snprintf(out, 32, "each");
    } else {
        snprintf(out, 32, "1 in %" PRId64, schedule->verify_every);
    }
}

bool schedule_view_print(const struct schedule_view *view, struct error *err)
{
    struct output_table table = OUTPUT_TABLE_INIT(7);

    output_table_add(
        &table, (const char *[]){"SCHEDULE", "WHEN", "STATE", "NEXT", "KEEP", "VERIFY", "TARGET"});
    for (size_t i = 0; i < view->count; i++) {
        const struct schedule *schedule = view->items[i];
        struct text target = TEXT_INIT(TARGET_CAP);
        char when[SCHEDULE_VIEW_WHEN_SIZE];
        char next[SCHEDULE_VIEW_MINUTE_SIZE] = "-";
        char keep[KEEP_SIZE];
        char verify[32];
        schedule_view_when(when, schedule);
        if (schedule_view_has_next(schedule)) {
            schedule_view_minute(next, schedule->next_ms);
        }
        format_keep(keep, schedule);
        format_verify(verify, schedule);
        append_target(&target, schedule);
        output_table_add(&table, (const char *[]){schedule->name, when,
                                                  backup_schedule_state_name(schedule->state), next,
                                                  keep, verify, text_string(&target)});
        text_clear(&target);
    }
    return output_table_print(&table, err);
}

/* The time on the schedule's own clock, down to the minute or second. */
static void format_local(char out[LOCAL_SIZE], const struct schedule_occurrence *occurrence,
                         int length)
{
    char iso[CLOCK_ISO_SIZE];
    int minutes = (int)(occurrence->offset_minutes % (24 * 60));
    int away = minutes < 0 ? -minutes : minutes;

    clock_format_iso(iso, occurrence->at_ms + occurrence->offset_minutes * MINUTE_MS);
    snprintf(out, LOCAL_SIZE, "%.*s%c%02d:%02d", length, iso, minutes < 0 ? '-' : '+', away / 60,
             away % 60);
}

static void add_upcoming(struct output_table *table, const struct schedule *schedule,
                         const struct schedule_occurrence *occurrence)
{
    /* 1970 began on a Thursday. */
    static const char *const names[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
    char utc[SCHEDULE_VIEW_MINUTE_SIZE];
    char local[LOCAL_SIZE];
    int64_t local_ms = occurrence->at_ms + occurrence->offset_minutes * MINUTE_MS;
    /* West of Greenwich 1970 began in 1969. */
    int64_t weekday = (local_ms / DAY_MS - (local_ms % DAY_MS < 0)) % 7;

    schedule_view_minute(utc, occurrence->at_ms);
    format_local(local, occurrence, ISO_TO_MINUTE);
    output_table_add(table, (const char *[]){schedule->name, utc,
                                             names[weekday < 0 ? weekday + 7 : weekday], local,
                                             schedule->zone});
}

bool schedule_view_print_upcoming(const struct schedule_view *view, struct error *err)
{
    struct output_table table = OUTPUT_TABLE_INIT(5);

    for (size_t i = 0; i < view->count; i++) {
        const struct schedule_details *details =
            schedule_details_find(view->details, view->items[i]->id);
        for (size_t j = 0; details != NULL && j < details->upcoming_count; j++) {
            if (table.count == 0) {
                putchar('\n');
                output_table_add(&table,
                                 (const char *[]){"SCHEDULE", "UPCOMING", "DAY", "LOCAL", "ZONE"});
            }
            add_upcoming(&table, view->items[i], &details->upcoming[j]);
        }
    }
    return output_table_print(&table, err);
}

static json_t *days_json(const struct schedule *schedule)
{
    const char *days = schedule->days;
    bool known;
    long day;

    if (*days == '\0') {
        return json_null();
    }
    json_t *list = json_array();
    while (next_day(&days, &known, &day)) {
        json_array_append_new(list, known ? json_integer(day) : json_null());
    }
    return list;
}

static json_t *instant_json(const struct schedule_instant *instant)
{
    return output_json_instant(instant->known, instant->ms);
}

json_t *schedule_view_json_upcoming(const struct schedule_details *details)
{
    json_t *list = json_array();

    for (size_t i = 0; i < details->upcoming_count; i++) {
        char local[LOCAL_SIZE];
        format_local(local, &details->upcoming[i], ISO_TO_SECOND);
        json_array_append_new(list, json_pack("{s:o, s:s}", "at",
                                              output_json_instant(true, details->upcoming[i].at_ms),
                                              "local", local));
    }
    return list;
}

json_t *schedule_view_json(const struct schedule_view *view, size_t index, bool upcoming)
{
    static const struct schedule_details none = {.has_catch_up = false};
    const struct schedule *schedule = view->items[index];
    const struct schedule_details *found = schedule_details_find(view->details, schedule->id);
    const struct schedule_details *details = found != NULL ? found : &none;

    json_t *object = json_pack(
        "{s:s, s:o, s:b, s:b, s:o, s:o, s:o, s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o, "
        "s:o, s:b}",
        "schedule", schedule->id, "schedule_name",
        output_json_text(schedule->is_named ? schedule->name : NULL), "enabled", schedule->enabled,
        "default", schedule->is_default, "time", output_json_text(schedule->time), "frequency",
        output_json_text(schedule->frequency), "days", days_json(schedule), "time_zone",
        schedule->zone, "retention_days", (json_int_t)schedule->retention_days, "catch_up_s",
        details->has_catch_up ? json_integer(details->catch_up_s) : json_null(), "tenant",
        output_json_text(schedule->tenant), "dbname",
        output_json_text(schedule->all_databases ? NULL : schedule->dbname), "service",
        output_json_text(schedule->service), "schemas",
        output_json_texts(schedule->scope.lists[SCOPE_SCHEMAS]), "stores",
        output_json_text(schedule->stores), "verify_every", (json_int_t)schedule->verify_every,
        "notify_channels", output_json_texts(schedule->notify_channels), "notify_on",
        output_json_texts(schedule->notify_on), "all_databases", schedule->all_databases);
    json_t *keep = json_pack(
        "{s:I, s:I, s:I, s:I, s:I}", "keep_last", (json_int_t)schedule->keep_last, "keep_daily",
        (json_int_t)schedule->keep_daily, "keep_weekly", (json_int_t)schedule->keep_weekly,
        "keep_monthly", (json_int_t)schedule->keep_monthly, "keep_yearly",
        (json_int_t)schedule->keep_yearly);
    json_t *standing = json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "state",
        backup_schedule_state_name(schedule->state), "problem", output_json_text(schedule->problem),
        "occurrence", output_json_instant(schedule->has_occurrence, schedule->occurrence_ms),
        "next", output_json_instant(schedule_view_has_next(schedule), schedule->next_ms),
        "last_run", instant_json(&details->last_run), "timed", instant_json(&details->timed),
        "created", instant_json(&details->created), "updated", instant_json(&details->updated));
    bool ok = object != NULL && keep != NULL && standing != NULL &&
              json_object_update(object, keep) == 0 && json_object_update(object, standing) == 0;
    json_decref(keep);
    json_decref(standing);
    for (int i = SCOPE_TABLES; ok && i < SCOPE_LISTS; i++) {
        ok = json_object_set_new(object, scope_key((enum scope_list)i),
                                 output_json_texts(schedule->scope.lists[i])) == 0;
    }
    if (ok && upcoming) {
        ok = json_object_set_new(object, "upcoming", schedule_view_json_upcoming(details)) == 0;
    }
    if (!ok) {
        json_decref(object);
        return NULL;
    }
    return object;
}
