#include "base/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/command_line.h"
#include "base/file.h"
#include "base/redact.h"
#include "base/text.h"

#define FILE_CAP   (256 * 1024)
#define OUR_PREFIX "RYTHM_BACKUP_"

static bool find(const char *name, size_t length, enum setting_id *id)
{
    for (int i = 0; i < SETTING_COUNT; i++) {
        if (strlen(settings_table[i].name) == length &&
            memcmp(settings_table[i].name, name, length) == 0) {
            *id = (enum setting_id)i;
            return true;
        }
    }
    return false;
}

static bool parse_seconds(const char *value, int64_t min, int64_t max, int64_t *out)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    char digits[16];
    size_t length = strlen(value);
    int64_t factor = 1;

    if (length == 0 || length >= sizeof(digits)) {
        return false;
    }
    memcpy(digits, value, length + 1);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (digits[length - 1] == units[i].unit) {
            factor = units[i].seconds;
            digits[length - 1] = '\0';
            break;
        }
    }
    if (!text_parse_integer(digits, 0, max, out)) {
        return false;
    }
    *out *= factor;
    return *out >= min && *out <= max;
}

static bool is_choice(const char *value, const char *choices)
{
    size_t length = strlen(value);

    for (const char *at = choices; *at != '\0'; at += strcspn(at, "|"), at += *at == '|') {
        if (strcspn(at, "|") == length && memcmp(at, value, length) == 0) {
            return true;
        }
    }
    return false;
}

static bool check_command(const char *value, struct error *err)
{
    char **argv = NULL;
    bool ok = command_line_split(value, &argv, err);

    text_list_free(ok ? argv : NULL);
    return ok;
}

/* `where` says who set it: "option --database", "environment", "file X, line 3". */
static bool check(const struct setting *setting, const char *value, const char *where,
                  struct error *err)
{
    int64_t number;
    const char *shown = setting->secret ? "(hidden)" : value;

    switch (setting->type) {
    case SETTING_TYPE_TEXT:
        return true;
    case SETTING_TYPE_INTEGER:
        if (text_parse_integer(value, setting->min, setting->max, &number)) {
            return true;
        }
        return error_set(err, ERROR_CONFIG, "%s: %s = '%s' is not a whole number from %lld to %lld",
                         where, setting->name, shown, (long long)setting->min,
                         (long long)setting->max);
    case SETTING_TYPE_SECONDS:
        if (parse_seconds(value, setting->min, setting->max, &number)) {
            return true;
        }
        return error_set(err, ERROR_CONFIG,
                         "%s: %s = '%s' is not a time from %llds to %llds; write 90, 90s, 15m, 2h "
                         "or 1d",
                         where, setting->name, shown, (long long)setting->min,
                         (long long)setting->max);
    case SETTING_TYPE_COMMAND:
        return check_command(value, err) || error_prefix(err, "%s: %s", where, setting->name);
    case SETTING_TYPE_CHOICE:
        if (is_choice(value, setting->choices)) {
            return true;
        }
        return error_set(err, ERROR_CONFIG, "%s: %s = '%s' is none of %s", where, setting->name,
                         shown, setting->choices);
    }
    return true;
}

/* Of a family; only texts are. */
static bool set_member(struct settings *settings, const char *name, const char *value,
                       bool *is_member, struct error *err)
{
    int id = 0;
    const char *member = NULL;
    size_t length = 0;

    *is_member = settings_family_match(name, strlen(name), &id, &member, &length);
    if (!*is_member || *value == '\0') {
        return true;
    }
    if (settings_table[id].secret) {
        redact_register(value);
    }
    return settings_family_set(&settings->family, id, member, length, value, err);
}

static bool set(struct settings *settings, enum setting_id id, const char *value,
                enum setting_source source, const char *where, struct error *err)
{
    if (*value == '\0') {
        return true;
    }
    if (settings_table[id].type == SETTING_TYPE_COMMAND && source != SETTING_FROM_FILE) {
        error_set(err, ERROR_CONFIG,
                  "%s: %s names a program to run: that is for the configuration "
                  "file alone",
                  where, settings_table[id].name);
        return error_hint(err, "write it there, and take it out of the environment");
    }
    /* Of a connection string only the password is secret; who takes it apart registers that. */
    if (settings_table[id].secret && id != SETTING_DATABASE_URL) {
        redact_register(value);
    }
    if (!check(&settings_table[id], value, where, err)) {
        return false;
    }
    char *copy = text_copy(value);
    if (copy == NULL) {
        return error_set_memory(err);
    }
    free(settings->values[id]);
    settings->values[id] = copy;
    settings->sources[id] = source;
    return true;
}

/* systemd's EnvironmentFile allows a value in quotes, docker's --env-file takes quotes as they are;
 * a pair around the whole value never belongs to it here. */
static char *unquote(char *value)
{
    size_t length = strlen(value);

    if (length >= 2 && (value[0] == '"' || value[0] == '\'') && value[length - 1] == value[0]) {
        value[length - 1] = '\0';
        return value + 1;
    }
    return value;
}

static bool read_line(struct settings *settings, char *line, const char *where, struct error *err)
{
    enum setting_id id;

    line = text_trim(line);
    if (*line == '\0' || *line == '#' || *line == ';') {
        return true;
    }
    char *equals = strchr(line, '=');
    if (equals == NULL) {
        return error_set(err, ERROR_CONFIG, "%s: not of the form NAME=VALUE", where);
    }
    *equals = '\0';
    char *name = text_trim(line);
    char *value = text_trim(equals + 1);
    if (find(name, strlen(name), &id)) {
        /* A command has quotes of its own. */
        bool is_command = settings_table[id].type == SETTING_TYPE_COMMAND;
        return set(settings, id, is_command ? value : unquote(value), SETTING_FROM_FILE, where,
                   err);
    }
    bool is_member;
    bool ok = set_member(settings, name, unquote(value), &is_member, err);
    if (is_member) {
        return ok;
    }
    if (strncmp(name, "export ", 7) == 0) {
        return error_set(err, ERROR_CONFIG, "%s: leave out 'export'; write NAME=VALUE", where);
    }
    if (strncmp(name, OUR_PREFIX, strlen(OUR_PREFIX)) == 0) {
        error_set(err, ERROR_CONFIG, "%s: there is no setting %s", where, name);
        return error_hint(err, "rythm-backup --help lists them");
    }
    /* The file may serve the application too: its other variables are not ours to judge. */
    return true;
}

static bool holds_secret(const struct settings *settings)
{
    for (int i = 0; i < SETTING_COUNT; i++) {
        if (settings_table[i].secret && settings->values[i] != NULL) {
            return true;
        }
    }
    for (size_t i = 0; i < settings->family.count; i++) {
        if (settings_table[settings->family.items[i].setting].secret) {
            return true;
        }
    }
    return false;
}

static bool names_program(const struct settings *settings)
{
    for (int i = 0; i < SETTING_COUNT; i++) {
        if (settings_table[i].type == SETTING_TYPE_COMMAND && settings->values[i] != NULL) {
            return true;
        }
    }
    return false;
}

static bool check_mode(const struct settings *settings, const char *path, const struct stat *status,
                       struct error *err)
{
    const char *problem = NULL;

    if (names_program(settings) && status->st_uid != 0 && status->st_uid != geteuid()) {
        error_set(err, ERROR_CONFIG,
                  "configuration file %s names a program to run, and belongs to another user",
                  path);
        return error_hint(err, "let it belong to root, or to who runs this program");
    }
    if (names_program(settings) && (status->st_mode & S_IWGRP) != 0) {
        problem = "names a program to run and can be changed by its group";
    }
    if ((status->st_mode & S_IWOTH) != 0) {
        problem = "can be changed by everyone";
    } else if (holds_secret(settings) && (status->st_mode & S_IROTH) != 0) {
        problem = "holds a secret and can be read by everyone";
    }
    if (problem == NULL) {
        return true;
    }
    error_set(err, ERROR_CONFIG, "configuration file %s %s (mode %04o)", path, problem,
              (unsigned)status->st_mode & 07777);
    return error_hint(err, "chmod 600 %s", path);
}

static bool read_file(struct settings *settings, const char *path, bool must_exist,
                      struct error *err)
{
    struct text content = TEXT_INIT(FILE_CAP);
    struct stat status;
    bool found;
    bool ok = file_read(path, FILE_CAP, &content, &found, &status, err);

    if (!ok) {
        err->kind = ERROR_CONFIG;
    } else if (!found && must_exist) {
        ok = error_set(err, ERROR_CONFIG, "configuration file %s does not exist", path);
    } else if (content.length != strlen(text_string(&content))) {
        ok = error_set(err, ERROR_CONFIG, "configuration file %s holds a NUL byte", path);
    }
    char *rest = content.data;
    for (int number = 1; ok && rest != NULL; number++) {
        char where[512];
        char *line = strsep(&rest, "\n");
        snprintf(where, sizeof(where), "configuration file %s, line %d", path, number);
        ok = read_line(settings, line, where, err);
    }
    if (ok && found) {
        ok = check_mode(settings, path, &status, err);
    }
    if (content.data != NULL) {
        explicit_bzero(content.data, content.capacity);
    }
    text_clear(&content);
    return ok;
}

/* Of two variables of the same name the first counts, as with getenv(). */
static bool read_families(struct settings *settings, struct error *err)
{
    size_t count = 0;

    while (environ != NULL && environ[count] != NULL) {
        count++;
    }
    for (; count > 0; count--) {
        const char *variable = environ[count - 1];
        const char *equals = strchr(variable, '=');
        char name[SETTINGS_NAME_SIZE];
        bool is_member;
        if (equals == NULL || equals - variable >= SETTINGS_NAME_SIZE) {
            continue;
        }
        snprintf(name, sizeof(name), "%.*s", (int)(equals - variable), variable);
        if (!set_member(settings, name, equals + 1, &is_member, err)) {
            return false;
        }
    }
    return true;
}

bool settings_load(struct settings *settings, const char *const options[SETTING_COUNT],
                   const char *file, struct error *err)
{
    *settings = (struct settings){.values = {NULL}};
    if (!read_file(settings, file != NULL ? file : SETTINGS_DEFAULT_FILE, file != NULL, err) ||
        !read_families(settings, err)) {
        return false;
    }
    for (int i = 0; i < SETTING_COUNT; i++) {
        const char *value = getenv(settings_table[i].name);
        if (value != NULL && !set(settings, (enum setting_id)i, value, SETTING_FROM_ENVIRONMENT,
                                  "environment", err)) {
            return false;
        }
    }
    for (int i = 0; i < SETTING_COUNT; i++) {
        char where[64];
        if (options[i] == NULL) {
            continue;
        }
        snprintf(where, sizeof(where), "option --%s", settings_table[i].option);
        if (!set(settings, (enum setting_id)i, options[i], SETTING_FROM_OPTION, where, err)) {
            err->kind = ERROR_USAGE;
            return false;
        }
    }
    return true;
}

void settings_clear(struct settings *settings)
{
    for (int i = 0; i < SETTING_COUNT; i++) {
        if (settings->values[i] != NULL && settings_table[i].secret) {
            explicit_bzero(settings->values[i], strlen(settings->values[i]));
        }
        free(settings->values[i]);
        settings->values[i] = NULL;
    }
    settings_family_clear(&settings->family);
}

const char *settings_get(const struct settings *settings, enum setting_id id)
{
    return settings->values[id] != NULL ? settings->values[id] : settings_table[id].fallback;
}

void settings_name_for(enum setting_id id, const char *member, size_t member_length,
                       char name[SETTINGS_NAME_SIZE])
{
    snprintf(name, SETTINGS_NAME_SIZE, "%s_%.*s", settings_table[id].name, (int)member_length,
             member);
    for (char *c = name; *c != '\0'; c++) {
        *c = settings_family_letter(*c);
    }
}

const char *settings_get_for(const struct settings *settings, enum setting_id id,
                             const char *member, size_t member_length,
                             char name[SETTINGS_NAME_SIZE])
{
    const char *value = settings_family_get(&settings->family, id, member, member_length);

    if (value != NULL) {
        settings_name_for(id, member, member_length, name);
    }
    return value;
}

int64_t settings_get_number(const struct settings *settings, enum setting_id id)
{
    const struct setting *setting = &settings_table[id];
    const char *value = settings_get(settings, id);
    int64_t number = setting->min;

    if (setting->type == SETTING_TYPE_SECONDS) {
        parse_seconds(value, setting->min, setting->max, &number);
    } else {
        text_parse_integer(value, setting->min, setting->max, &number);
    }
    return number;
}

static bool is_secret_variable(const char *variable)
{
    enum setting_id id;
    int family;
    const char *member;
    size_t length = strcspn(variable, "=");
    size_t member_length;

    return strncmp(variable, "PGPASSWORD=", strlen("PGPASSWORD=")) == 0 ||
           (find(variable, length, &id) && settings_table[id].secret) ||
           (settings_family_match(variable, length, &family, &member, &member_length) &&
            settings_table[family].secret);
}

char **settings_child_environment(const char *const extra[], struct error *err)
{
    size_t count = 0;
    size_t extras = 0;

    while (environ[count] != NULL) {
        count++;
    }
    while (extra[extras] != NULL) {
        extras++;
    }
    char **result = calloc(count + extras + 1, sizeof(*result));
    if (result == NULL) {
        error_set_memory(err);
        return NULL;
    }
    /* The first of two variables of the same name is the one that getenv() finds. */
    size_t used = 0;
    for (size_t i = 0; i < extras; i++) {
        /* execve() takes char *const[] for historical reasons and changes nothing. */
        memcpy(&result[used++], &extra[i], sizeof(*result));
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_secret_variable(environ[i])) {
            result[used++] = environ[i];
        }
    }
    return result;
}
