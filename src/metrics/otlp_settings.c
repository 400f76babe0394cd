#include "metrics/otlp_settings.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/redact.h"
#include "http/message.h"
#include "metrics/endpoint.h"

#define LONGEST_LIST  8192
#define LONGEST_MS    (24 * 3600 * 1000)
#define SERVICE_NAME  "service.name"
#define NAME_OF(id)   settings_table[id].name
#define LONGEST_VALUE 4096
/* A header may also say "true" or "prod": such words are not to be masked wherever they stand. */
#define SHORTEST_SECRET 8

static bool refuse_list(enum setting_id id, const char *why, struct error *err)
{
    return error_set(err, ERROR_CONFIG,
                     "%s is not of the form name=value,name=value with percent-encoded values: %s",
                     NAME_OF(id), why);
}

/* Takes "name=value" over into the pairs. */
static bool add_pair(struct otlp_pairs *out, enum setting_id id, char *pair, struct error *err)
{
    char *equals = strchr(pair, '=');
    struct text value = TEXT_INIT(LONGEST_VALUE);

    if (equals == NULL || equals == pair) {
        return refuse_list(id, "a part of it has no name, or no '='", err);
    }
    if (out->count == OTLP_MOST_PAIRS) {
        return refuse_list(id, "it has more than 32 parts", err);
    }
    *equals = '\0';
    const char *encoded = text_trim(equals + 1);
    bool decoded = http_append_decoded(&value, encoded, strlen(encoded));
    char *name = text_copy(text_trim(pair));
    char *copy = text_copy(text_string(&value));
    bool failed = value.failed || name == NULL || copy == NULL;
    if (copy != NULL) {
        text_cut_utf8(copy);
    }
    text_clear(&value);
    if (!decoded || failed) {
        free(name);
        free(copy);
        return failed ? error_set_memory(err)
                      : refuse_list(id, "a '%' is not followed by two hex digits", err);
    }
    out->names[out->count] = name;
    out->values[out->count++] = copy;
    return true;
}

static bool parse_list(const struct settings *settings, enum setting_id id, struct otlp_pairs *out,
                       struct error *err)
{
    const char *list = settings_get(settings, id);
    bool ok = true;

    if (list == NULL) {
        return true;
    }
    if (strlen(list) > LONGEST_LIST) {
        return refuse_list(id, "it is too long", err);
    }
    char *copy = text_copy(list);
    if (copy == NULL) {
        return error_set_memory(err);
    }
    char *rest = copy;
    char *part;
    while (ok && (part = strsep(&rest, ",")) != NULL) {
        part = text_trim(part);
        ok = *part == '\0' || add_pair(out, id, part, err);
    }
    explicit_bzero(copy, strlen(list));
    free(copy);
    return ok;
}

static bool parse_timeout(const struct settings *settings, int64_t *ms, struct error *err)
{
    const char *value = settings_get(settings, SETTING_OTEL_TIMEOUT);

    if (text_parse_integer(value, 1, LONGEST_MS, ms)) {
        return true;
    }
    return error_set(err, ERROR_CONFIG, "%s = '%s' is not a whole number of milliseconds, from 1",
                     NAME_OF(SETTING_OTEL_TIMEOUT), value);
}

/* A signal's own endpoint is used as it is, the common one has the signal's path appended. */
static bool parse_endpoint(const struct settings *settings, enum setting_id own, const char *path,
                           struct text *out, struct error *err)
{
    const char *url = settings_get(settings, own);
    const char *base = settings_get(settings, SETTING_OTEL_ENDPOINT);

    if (url != NULL) {
        if (!endpoint_check(url, NAME_OF(own), err)) {
            return false;
        }
        text_append(out, url);
    } else if (base != NULL) {
        if (!endpoint_check(base, NAME_OF(SETTING_OTEL_ENDPOINT), err)) {
            return false;
        }
        endpoint_append(out, base, path);
    }
    return !out->failed || error_set_memory(err);
}

/* OTEL_SERVICE_NAME wins over the attribute. */
static void name_service(const struct settings *settings, struct otlp_settings *out)
{
    const char *set = settings_get(settings, SETTING_OTEL_SERVICE_NAME);
    struct otlp_pairs *attributes = &out->attributes;

    out->service = set != NULL ? set : "rythm-backup";
    for (size_t i = 0; set == NULL && i < attributes->count; i++) {
        if (strcmp(attributes->names[i], SERVICE_NAME) == 0) {
            out->service = attributes->values[i];
        }
    }
}

bool otlp_settings_are_there(const struct settings *settings)
{
    static const enum setting_id endpoints[] = {
        SETTING_OTEL_ENDPOINT, SETTING_OTEL_METRICS_ENDPOINT, SETTING_OTEL_TRACES_ENDPOINT};
    const char *disabled = settings_get(settings, SETTING_OTEL_DISABLED);

    if (disabled != NULL && strcasecmp(disabled, "true") == 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
        if (settings_get(settings, endpoints[i]) != NULL) {
            return true;
        }
    }
    return false;
}

bool otlp_settings_parse(const struct settings *settings, struct otlp_settings *out,
                         struct error *err)
{
    const char *disabled = settings_get(settings, SETTING_OTEL_DISABLED);

    bool ok = parse_list(settings, SETTING_OTEL_HEADERS, &out->headers, err);
    for (size_t i = 0; i < out->headers.count; i++) {
        const char *value = out->headers.values[i];
        redact_register(strlen(value) >= SHORTEST_SECRET ? value : NULL);
    }
    if (ok && disabled != NULL && strcasecmp(disabled, "false") != 0) {
        ok = error_set(err, ERROR_CONFIG, "%s = '%s' is neither true nor false",
                       NAME_OF(SETTING_OTEL_DISABLED), disabled);
    }
    ok =
        ok && parse_list(settings, SETTING_OTEL_ATTRIBUTES, &out->attributes, err) &&
        parse_timeout(settings, &out->timeout_ms, err) &&
        parse_endpoint(settings, SETTING_OTEL_METRICS_ENDPOINT, "/v1/metrics", &out->metrics_url,
                       err) &&
        parse_endpoint(settings, SETTING_OTEL_TRACES_ENDPOINT, "/v1/traces", &out->traces_url, err);
    name_service(settings, out);
    return ok;
}

static void clear_pairs(struct otlp_pairs *pairs)
{
    for (size_t i = 0; i < pairs->count; i++) {
        explicit_bzero(pairs->values[i], strlen(pairs->values[i]));
        free(pairs->names[i]);
        free(pairs->values[i]);
    }
    pairs->count = 0;
}

void otlp_settings_clear(struct otlp_settings *settings)
{
    text_clear(&settings->metrics_url);
    text_clear(&settings->traces_url);
    clear_pairs(&settings->headers);
    clear_pairs(&settings->attributes);
}
