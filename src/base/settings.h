/*
 * Every setting, in one table: its name (in the environment and in the configuration file), its
 * option, default, bounds and one line of help. --help prints the table, a test holds the man page
 * against it, and what it marks as secret is registered for redaction as soon as it is read.
 *
 * Order: option, environment, file, default. An empty value counts as not set.
 *
 * To add a setting: a member of `enum setting_id`, its row in settings_table[] (settings_table.c),
 * a sentence in man/rythm-backup.1 (make check tells), a test for a wrong value.
 */
#ifndef BASE_SETTINGS_H
#define BASE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/settings_family.h"

enum setting_id {
    SETTING_DATABASE_URL,
    SETTING_DATABASE_AUTH,
    SETTING_STORES,
    SETTING_AZURE_CONNECTION_STRING,
    SETTING_AZURE_CONTAINER,
    SETTING_AZURE_ENCRYPTION_KEY,
    SETTING_AZURE_CLIENT_ID,
    SETTING_AZURE_TENANT_ID,
    SETTING_AZURE_TOKEN_FILE,
    SETTING_AZURE_AUTHORITY_HOST,
    SETTING_AZURE_METADATA_HOST,
    SETTING_IDENTITY_ENDPOINT,
    SETTING_IDENTITY_HEADER,
    SETTING_AWS_ACCESS_KEY_ID,
    SETTING_AWS_SECRET_ACCESS_KEY,
    SETTING_AWS_SESSION_TOKEN,
    SETTING_AWS_REGION,
    SETTING_AWS_ENDPOINT,
    SETTING_AWS_ENDPOINT_S3,
    SETTING_AWS_ENDPOINT_STS,
    SETTING_AWS_ROLE_ARN,
    SETTING_AWS_TOKEN_FILE,
    SETTING_AWS_ROLE_SESSION,
    SETTING_AWS_CONTAINER_PATH,
    SETTING_AWS_CONTAINER_URL,
    SETTING_AWS_CONTAINER_TOKEN,
    SETTING_AWS_CONTAINER_TOKEN_FILE,
    SETTING_AWS_METADATA_ENDPOINT,
    SETTING_AWS_METADATA_DISABLED,
    SETTING_COMPRESSION,
    SETTING_UPLOADS,
    SETTING_BEST_EFFORT_WAIT,
    SETTING_KEEP_MIN,
    SETTING_CATCH_UP,
    SETTING_BEFORE,
    SETTING_AFTER,
    SETTING_ON_FAILURE,
    SETTING_HOOK_TIMEOUT,
    SETTING_HOOK_SKIP,
    SETTING_ENGINE,
    SETTING_JOBS,
    SETTING_SEGMENT_SIZE,
    SETTING_GLOBALS,
    SETTING_ROW_LIMIT,
    SETTING_PG_DUMP,
    SETTING_VERIFY_SERVER,
    SETTING_LOCK_TIMEOUT,
    SETTING_STALL_TIMEOUT,
    SETTING_CONNECT_TIMEOUT,
    SETTING_RETRY_TIMEOUT,
    SETTING_ACS_CONNECTION_STRING,
    SETTING_ACS_SENDER,
    SETTING_SMTP_URL,
    SETTING_SMTP_SENDER,
    SETTING_SLACK_WEBHOOK_URL,
    SETTING_TEAMS_WEBHOOK_URL,
    SETTING_WEBHOOK_URL,
    SETTING_WEBHOOK_SECRET,
    SETTING_PING_URL,
    SETTING_ADMIN_QUERY,
    SETTING_NOTIFY_TO,
    SETTING_PROMETHEUS_FILE,
    SETTING_PUSHGATEWAY,
    SETTING_APPLICATION_INSIGHTS,
    SETTING_OTEL_ENDPOINT,
    SETTING_OTEL_METRICS_ENDPOINT,
    SETTING_OTEL_TRACES_ENDPOINT,
    SETTING_OTEL_HEADERS,
    SETTING_OTEL_TIMEOUT,
    SETTING_OTEL_SERVICE_NAME,
    SETTING_OTEL_ATTRIBUTES,
    SETTING_OTEL_DISABLED,
    SETTING_LOG_FORMAT,
    SETTING_COUNT
};

enum setting_type {
    SETTING_TYPE_TEXT,
    SETTING_TYPE_INTEGER,
    SETTING_TYPE_SECONDS,
    SETTING_TYPE_CHOICE,
    SETTING_TYPE_COMMAND /* base/command_line.h; from the file alone */
};

struct setting {
    const char *name;
    const char *option; /* long option without dashes, or NULL */
    char letter;        /* short option, or 0 */
    const char *argument;
    enum setting_type type;
    int64_t min; /* SETTING_TYPE_INTEGER and _SECONDS */
    int64_t max;
    const char *choices;  /* SETTING_TYPE_CHOICE: "text|json" */
    const char *fallback; /* NULL: none */
    bool secret;
    const char *family; /* what NAME_... may set it for alone ("ACCOUNT", "BUCKET"), or NULL */
    const char *help;
};
extern const struct setting settings_table[SETTING_COUNT];

enum setting_source {
    SETTING_FROM_DEFAULT,
    SETTING_FROM_FILE,
    SETTING_FROM_ENVIRONMENT,
    SETTING_FROM_OPTION
};

struct settings {
    char *values[SETTING_COUNT];
    enum setting_source sources[SETTING_COUNT];
    struct settings_family family;
};

#define SETTINGS_DEFAULT_FILE "/etc/rythm-backup.conf"

/* Reads environment and file and checks every value. `options` holds a value or NULL per setting.
 * `file` NULL means the default file, if it exists. A file that holds a secret and can be read by
 * everyone is refused, and so is one that names a program and belongs to somebody else, and a
 * program that the environment or an option names. */
bool settings_load(struct settings *settings, const char *const options[SETTING_COUNT],
                   const char *file, struct error *err);
void settings_clear(struct settings *settings);

/* The value, or its default, or NULL. */
const char *settings_get(const struct settings *settings, enum setting_id id);
/* The name of what sets it for this member of its family alone. */
#define SETTINGS_NAME_SIZE 96
void settings_name_for(enum setting_id id, const char *member, size_t member_length,
                       char name[SETTINGS_NAME_SIZE]);
/* What that is set to, or NULL. *name is its name in the first case. */
const char *settings_get_for(const struct settings *settings, enum setting_id id,
                             const char *member, size_t member_length,
                             char name[SETTINGS_NAME_SIZE]);
/* For the types that are numbers, which settings_load() has checked. Seconds may be written with a
 * unit: 90, 90s, 15m, 2h, 1d. */
int64_t settings_get_number(const struct settings *settings, enum setting_id id);

/* The environment for a child process: ours without the secrets, plus `extra` ("NAME=value", NULL
 * last). The caller frees the array alone: the strings are borrowed. */
char **settings_child_environment(const char *const extra[], struct error *err);

#endif
