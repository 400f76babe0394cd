#include "metrics/otlp_json.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "config.h"

#define NUMBER_SIZE 24

void otlp_json_add_text(json_t *attributes, const char *key, const char *value)
{
    if (*value != '\0') {
        json_array_append_new(
            attributes, json_pack("{s:s, s:{s:s}}", "key", key, "value", "stringValue", value));
    }
}

void otlp_json_add_number(json_t *attributes, const char *key, int64_t value)
{
    json_array_append_new(attributes, json_pack("{s:s, s:{s:o}}", "key", key, "value", "intValue",
                                                otlp_json_number(value)));
}

json_t *otlp_json_number(int64_t value)
{
    char text[NUMBER_SIZE];

    snprintf(text, sizeof(text), "%" PRId64, value);
    return json_string(text);
}

json_t *otlp_json_instant(int64_t instant_ms)
{
    return otlp_json_number(instant_ms * 1000000);
}

static bool is_set(const struct otlp_pairs *attributes, const char *name)
{
    for (size_t i = 0; i < attributes->count; i++) {
        if (strcmp(attributes->names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

json_t *otlp_json_resource(const struct otlp_settings *settings,
                           const struct metrics_report *report)
{
    const struct otlp_pairs *given = &settings->attributes;
    const struct {
        const char *name;
        const char *value;
    } ours[] = {{"service.version", PACKAGE_VERSION}, {"host.name", report->host}};
    json_t *attributes = json_array();

    otlp_json_add_text(attributes, "service.name", settings->service);
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        if (!is_set(given, ours[i].name)) {
            otlp_json_add_text(attributes, ours[i].name, ours[i].value);
        }
    }
    for (size_t i = 0; i < given->count; i++) {
        if (strcmp(given->names[i], "service.name") != 0) {
            otlp_json_add_text(attributes, given->names[i], given->values[i]);
        }
    }
    return json_pack("{s:o}", "attributes", attributes);
}

json_t *otlp_json_scope(void)
{
    return json_pack("{s:s, s:s}", "name", PACKAGE_NAME, "version", PACKAGE_VERSION);
}
