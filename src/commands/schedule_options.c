#include "commands/schedule_options.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "commands/notify_options.h"
#include "commands/scope_options.h"
#include "postgres/backup_schedule.h"

#define NAME_MOST    63
#define VALUE_MOST   4096
#define PATTERNS_CAP ((size_t)4 * 1024 * 1024)
#define NAME_LETTER  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

/* 8-4-4-4-12 hex digits. */
static bool is_uuid(const char *text)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

    for (size_t i = 0; i < sizeof(form) - 1; i++) {
        if (form[i] == 'x' ? isxdigit((unsigned char)text[i]) == 0 : text[i] != form[i]) {
            return false;
        }
    }
    return text[sizeof(form) - 1] == '\0';
}

bool schedule_options_check_name(const char *name, struct error *err)
{
    size_t length = strlen(name);

    if (length == 0 || length > NAME_MOST || name[strspn(name, NAME_LETTER)] != '\0' ||
        name[0] == '-') {
        return error_set(err, ERROR_USAGE,
                         "'%s' is no name for a schedule: write 1 to %d letters, digits, '.', '_' "
                         "and '-', not beginning with '-'",
                         name, NAME_MOST);
    }
    if (is_uuid(name)) {
        return error_set(err, ERROR_USAGE,
                         "'%s' is no name for a schedule: it could be taken for an id", name);
    }
    return true;
}

static bool check_time(const char *time, struct error *err)
{
    bool shaped = strlen(time) == 5 && time[2] == ':';

    for (size_t i = 0; shaped && i < 5; i++) {
        shaped = i == 2 || isdigit((unsigned char)time[i]) != 0;
    }
    if (!shaped || strcmp(time, "23:59") > 0 || time[3] > '5') {
        return error_set(err, ERROR_USAGE,
                         "'%s' is no time of day; write HH:MM, from 00:00 to 23:59", time);
    }
    return true;
}

static bool check_retention(const char *days, struct error *err)
{
    int64_t number;

    return text_parse_integer(days, -999999999, 999999999, &number) ||
           error_set(err, ERROR_USAGE, "'%s' is not a whole number of days", days);
}

static bool check_keep(const char *count, struct error *err)
{
    int64_t number;

    return text_parse_integer(count, -999999999, 999999999, &number) ||
           error_set(err, ERROR_USAGE, "'%s' is not a whole number of backups", count);
}

static bool check_verify_every(const char *number, struct error *err)
{
    int64_t every;

    return text_parse_integer(number, -999999999, 999999999, &every) ||
           error_set(err, ERROR_USAGE,
                     "'%s' is not a whole number: write 1 for each backup, 7 for every seventh, 0 "
                     "for none",
                     number);
}

/* As a setting's: Postgres reads an interval of each form as the same time. */
static bool check_duration(const char *duration, struct error *err)
{
    size_t digits = strspn(duration, "0123456789");
    const char *unit = duration + digits;

    if (digits == 0 || digits > 9 ||
        (*unit != '\0' && (strchr("smhd", *unit) == NULL || unit[1] != '\0'))) {
        return error_set(err, ERROR_USAGE, "'%s' is no time; write 90, 90s, 15m, 2h or 1d",
                         duration);
    }
    return true;
}

static bool check_tenant(const char *tenant, struct error *err)
{
    return is_uuid(tenant) ||
           error_set(err, ERROR_USAGE, "'%s' is no UUID: write 8-4-4-4-12 hex digits", tenant);
}

/* A connection string may hold a password: it is not even quoted. */
static bool check_place(const char *place, struct error *err)
{
    if (strchr(place, '=') != NULL || strstr(place, "://") != NULL) {
        error_set(err, ERROR_USAGE,
                  "it is a connection string (not shown); write the name alone: no password must "
                  "stand in backup_schedule");
        return error_hint(err, "host and credentials are those of DATABASE_URL");
    }
    return true;
}

static bool check_choice(const char *word, struct error *err)
{
    return strcmp(word, "yes") == 0 || strcmp(word, "no") == 0 ||
           error_set(err, ERROR_USAGE, "'%s' is neither yes nor no", word);
}

/* As postgres/backup_schedule.c looks for it in a row. A folder's name may hold anything. */
static bool holds_credential(const char *urls)
{
    static const char *const announcing[] = {
        "key=", "signature=", "sig=", "secret=", "token=", "password="};
    bool found = false;

    for (size_t i = 0; i < sizeof(announcing) / sizeof(announcing[0]); i++) {
        found = found || strcasestr(urls, announcing[i]) != NULL;
    }
    for (const char *url = urls; *url != '\0' && !found; url += strcspn(url, " \t\r\n")) {
        url += strspn(url, " \t\r\n");
        found = strncmp(url, "file://", 7) != 0 && strcspn(url, ";@") < strcspn(url, " \t\r\n");
    }
    return found;
}

static bool check_stores(const char *urls, struct error *err)
{
    return !holds_credential(urls) ||
           error_set(err, ERROR_USAGE,
                     "it seems to hold a key or signature (it is not shown), and none must stand "
                     "in backup_schedule; write azblob://ACCOUNT/CONTAINER[/PREFIX] or "
                     "file:///DIR, several separated by blanks");
}

static int weekday_number(const char *word, size_t length)
{
    static const char *const names[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

    for (int i = 0; i < 7; i++) {
        if (length == 3 && strncasecmp(word, names[i], 3) == 0) {
            return i + 1;
        }
    }
    return 0;
}

static bool parse_day(const char *word, size_t length, struct schedule_options *out,
                      struct error *err)
{
    char number[12];
    int64_t day = weekday_number(word, length);

    snprintf(number, sizeof(number), "%.*s", (int)length, word);
    if (day > 0) {
        out->weekday = out->weekday != NULL ? out->weekday : word;
    } else if (length == 4 && strncasecmp(word, "last", 4) == 0) {
        day = -1;
    } else if (length >= sizeof(number) || !text_parse_integer(number, -9999, 9999, &day)) {
        return error_set(err, ERROR_USAGE,
                         "'%.*s' is no day: write mon to sun or 1 (Monday) to 7 for weekly, 1 to "
                         "31 or last for monthly, separated by commas",
                         (int)length, word);
    }
    text_appendf(&out->days, "%s%d", out->days.length > 0 ? "," : "{", (int)day);
    return true;
}

static bool parse_days(const char *list, struct schedule_options *out, struct error *err)
{
    for (;; list++) {
        size_t length = strcspn(list, ",");
        if (!parse_day(list, length, out, err)) {
            return false;
        }
        list += length;
        if (*list == '\0') {
            break;
        }
    }
    text_append(&out->days, "}");
    out->values.values[SCHEDULE_COLUMN_DAYS] = text_string(&out->days);
    return out->days.failed ? error_set_memory(err) : true;
}

/* One name up to the next comma, or in double quotes as in SQL; appended as an element of an array
 * (manual, "Array Input and Output Syntax"). Returns what follows it, or NULL when it is empty or
 * its quotes are not. */
static const char *parse_schema(const char *list, struct text *out)
{
    bool quoted = *list == '"';
    size_t begin;

    text_append(out, out->length > 0 ? ",\"" : "{\"");
    begin = out->length;
    for (list += quoted; *list != '\0'; list++) {
        if (quoted && *list == '"' && *++list != '"') {
            quoted = false;
            break;
        }
        if (!quoted && (*list == ',' || *list == '"')) {
            break;
        }
        if (*list == '"' || *list == '\\') {
            text_append(out, "\\");
        }
        text_append_bytes(out, list, 1);
    }
    bool empty = out->length == begin;
    text_append(out, "\"");
    return quoted || empty || (*list != ',' && *list != '\0') ? NULL : list;
}

static bool parse_schemas(const char *list, struct schedule_options *out, struct error *err)
{
    const char *rest = list;

    for (;; rest++) {
        rest = parse_schema(rest, &out->schemas);
        if (rest == NULL) {
            return error_set(err, ERROR_USAGE,
                             "'%s' is no list of schemas: write their exact names, separated by "
                             "commas; one with a comma or a quote in double quotes, as in SQL",
                             list);
        }
        if (*rest == '\0') {
            break;
        }
    }
    text_append(&out->schemas, "}");
    out->values.values[SCHEDULE_COLUMN_SCHEMAS] = text_string(&out->schemas);
    return out->schemas.failed ? error_set_memory(err) : true;
}

static bool is_list_of_patterns(enum schedule_column column, enum scope_list *list)
{
    switch (column) {
    case SCHEDULE_COLUMN_ONLY_TABLES:
        *list = SCOPE_TABLES;
        return true;
    case SCHEDULE_COLUMN_EXCLUDE_TABLES:
        *list = SCOPE_EXCLUDED_TABLES;
        return true;
    case SCHEDULE_COLUMN_EXCLUDE_TABLE_DATA:
        *list = SCOPE_EXCLUDED_DATA;
        return true;
    default:
        return false;
    }
}

static bool parse_patterns(const struct invocation *invocation, enum schedule_column column,
                           enum scope_list list, struct schedule_options *out, struct error *err)
{
    struct text *array = &out->patterns[list];
    struct scope scope = {.lists = {NULL}};

    *array = (struct text)TEXT_INIT(PATTERNS_CAP);
    bool ok = scope_options_read(invocation, (int)column, list, &scope, err);
    for (size_t i = 0; ok && scope.lists[list][i] != NULL; i++) {
        text_append(array, i > 0 ? ",\"" : "{\"");
        for (const char *c = scope.lists[list][i]; *c != '\0'; c++) {
            text_append(array, *c == '"' || *c == '\\' ? "\\" : "");
            text_append_bytes(array, c, 1);
        }
        text_append(array, "\"");
    }
    scope_clear(&scope);
    text_append(array, "}");
    out->values.values[column] = text_string(array);
    return ok && (!array->failed || error_set_memory(err));
}

static bool parse_notify(enum schedule_column column, const char *list,
                         struct schedule_options *out, struct error *err)
{
    bool channels = column == SCHEDULE_COLUMN_NOTIFY_CHANNELS;
    struct text *array = channels ? &out->channels : &out->notify_on;

    if (!(channels ? notify_options_parse_channels(list, array, err)
                   : notify_options_parse_events(list, array, err))) {
        return false;
    }
    out->values.values[column] = text_string(array);
    return true;
}

static bool read_value(enum schedule_column column, const char *value, struct schedule_options *out,
                       struct error *err)
{
    static bool (*const checks[SCHEDULE_COLUMN_COUNT])(const char *value, struct error *err) = {
        [SCHEDULE_COLUMN_NAME] = schedule_options_check_name,
        [SCHEDULE_COLUMN_TIME] = check_time,
        [SCHEDULE_COLUMN_RETENTION_DAYS] = check_retention,
        [SCHEDULE_COLUMN_CATCH_UP] = check_duration,
        [SCHEDULE_COLUMN_TENANT] = check_tenant,
        [SCHEDULE_COLUMN_DBNAME] = check_place,
        [SCHEDULE_COLUMN_SERVICE] = check_place,
        [SCHEDULE_COLUMN_ALL_DATABASES] = check_choice,
        [SCHEDULE_COLUMN_STORES] = check_stores,
        [SCHEDULE_COLUMN_VERIFY_EVERY] = check_verify_every,
        [SCHEDULE_COLUMN_KEEP_LAST] = check_keep,
        [SCHEDULE_COLUMN_KEEP_DAILY] = check_keep,
        [SCHEDULE_COLUMN_KEEP_WEEKLY] = check_keep,
        [SCHEDULE_COLUMN_KEEP_MONTHLY] = check_keep,
        [SCHEDULE_COLUMN_KEEP_YEARLY] = check_keep,
    };

    if (strlen(value) > VALUE_MOST) {
        return error_set(err, ERROR_USAGE, "it is longer than %d bytes", VALUE_MOST);
    }
    if (column == SCHEDULE_COLUMN_DAYS) {
        return parse_days(value, out, err);
    }
    if (column == SCHEDULE_COLUMN_SCHEMAS) {
        return parse_schemas(value, out, err);
    }
    if (column == SCHEDULE_COLUMN_NOTIFY_CHANNELS || column == SCHEDULE_COLUMN_NOTIFY_ON) {
        return parse_notify(column, value, out, err);
    }
    if (checks[column] != NULL && !checks[column](value, err)) {
        return false;
    }
    out->values.values[column] = value;
    return true;
}

bool schedule_options_read(const struct invocation *invocation, struct schedule_options *out,
                           struct error *err)
{
    enum scope_list list;

    *out = (struct schedule_options){
        .days = TEXT_INIT(8 * VALUE_MOST),
        .schemas = TEXT_INIT(8 * VALUE_MOST),
        .channels = TEXT_INIT(8 * VALUE_MOST),
        .notify_on = TEXT_INIT(8 * VALUE_MOST),
    };
    for (int i = 0; i < SCHEDULE_COLUMN_ENABLED; i++) {
        const char *value = invocation->options[i];
        if (value == NULL) {
            continue;
        }
        out->any = true;
        out->values.given[i] = true;
        if (is_list_of_patterns((enum schedule_column)i, &list)) {
            if (*value != '\0' &&
                !parse_patterns(invocation, (enum schedule_column)i, list, out, err)) {
                return false;
            }
        } else if (*value != '\0' && !read_value((enum schedule_column)i, value, out, err)) {
            return error_prefix(err, "option '--%s'", invocation->command->options[i].name);
        }
    }
    return true;
}

void schedule_options_clear(struct schedule_options *options)
{
    text_clear(&options->days);
    text_clear(&options->schemas);
    for (int i = 0; i < SCOPE_LISTS; i++) {
        text_clear(&options->patterns[i]);
    }
    text_clear(&options->channels);
    text_clear(&options->notify_on);
}

static bool has_days(const struct schedule *schedule)
{
    return strcmp(schedule->frequency, "weekly") == 0 ||
           strcmp(schedule->frequency, "monthly") == 0;
}

/* The option of the column with whose name the text begins, or NULL. */
static const char *option_of(const char *problem)
{
    for (int i = 0; i < SCHEDULE_COLUMN_ENABLED; i++) {
        const char *column = schedule_edit_column_name((enum schedule_column)i);
        size_t length = strlen(column);
        if (strncmp(problem, column, length) == 0 && problem[length] == ' ') {
            return command_schedule.options[i].name;
        }
    }
    return NULL;
}

bool schedule_options_judge(const struct schedule_options *options, const struct schedule *schedule,
                            struct error *err)
{
    if (schedule->problem[0] != '\0') {
        const char *option = option_of(schedule->problem);
        error_set(err, ERROR_USAGE, "%s", schedule->problem);
        return option != NULL ? error_prefix(err, "option '--%s'", option) : false;
    }
    if (options->values.values[SCHEDULE_COLUMN_DAYS] == NULL) {
        return true;
    }
    if (!has_days(schedule)) {
        error_set(err, ERROR_USAGE, "option '--days': a schedule that is %s has none",
                  schedule->frequency);
        return error_hint(err, "give --frequency weekly or monthly, too");
    }
    if (options->weekday != NULL && strcmp(schedule->frequency, "monthly") == 0) {
        return error_set(err, ERROR_USAGE,
                         "option '--days': '%.3s' is a day of the week; a monthly schedule takes 1 "
                         "to 31 and last",
                         options->weekday);
    }
    return true;
}
