#include "metrics/insights_account.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/connection_string.h"
#include "base/redact.h"
#include "metrics/endpoint.h"

#define SETTING        "APPLICATIONINSIGHTS_CONNECTION_STRING"
#define LONGEST_STRING 4096
#define GLOBAL_URL     "https://dc.services.visualstudio.com"
#define TRACK_PATH     "/v2.1/track"

enum { PART_KEY, PART_ENDPOINT, PART_SUFFIX, PART_LOCATION, PART_COUNT };

static bool malformed(struct error *err, const char *why)
{
    error_set(err, ERROR_CONFIG, SETTING ": %s (its value is not shown)", why);
    return error_hint(err, "the form is InstrumentationKey=UUID;IngestionEndpoint=https://...");
}

static bool is_uuid(const char *text)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

    for (size_t i = 0; i < sizeof(form) - 1; i++) {
        bool fits = form[i] == '-'
                        ? text[i] == '-'
                        : text[i] != '\0' && strchr("0123456789abcdefABCDEF", text[i]) != NULL;
        if (!fits) {
            return false;
        }
    }
    return text[sizeof(form) - 1] == '\0';
}

static bool form_url(const struct connection_part parts[], struct text *out, struct error *err)
{
    struct text base = TEXT_INIT(LONGEST_STRING);
    struct error problem = ERROR_INIT;

    if (parts[PART_ENDPOINT].value != NULL) {
        text_append(&base, parts[PART_ENDPOINT].value);
    } else if (parts[PART_SUFFIX].value != NULL) {
        const char *location = parts[PART_LOCATION].value;
        text_appendf(&base, "https://%s%sdc.%s", location != NULL ? location : "",
                     location != NULL ? "." : "", parts[PART_SUFFIX].value);
    } else {
        text_append(&base, GLOBAL_URL);
    }
    bool ok = !base.failed && endpoint_check(text_string(&base), "the endpoint", &problem);
    endpoint_append(out, text_string(&base), TRACK_PATH);
    text_clear(&base);
    if (!ok) {
        return malformed(err, "its endpoint is not a URL");
    }
    return out->failed ? error_set_memory(err) : true;
}

bool insights_account_parse(const char *connection_string, struct insights_account *out,
                            struct error *err)
{
    struct connection_part parts[PART_COUNT] = {[PART_KEY] = {.name = "InstrumentationKey"},
                                                [PART_ENDPOINT] = {.name = "IngestionEndpoint"},
                                                [PART_SUFFIX] = {.name = "EndpointSuffix"},
                                                [PART_LOCATION] = {.name = "Location"}};

    if (strlen(connection_string) > LONGEST_STRING) {
        return malformed(err, "it is longer than 4096 characters");
    }
    char *copy = text_copy(connection_string);
    if (copy == NULL) {
        return error_set_memory(err);
    }
    bool ok = connection_string_split(copy, SETTING, parts, PART_COUNT, err);
    const char *key = parts[PART_KEY].value;
    redact_register(key);
    if (ok && (key == NULL || !is_uuid(key))) {
        ok = malformed(err, key == NULL ? "InstrumentationKey= is missing"
                                        : "the instrumentation key is not a UUID");
    }
    ok = ok && form_url(parts, &out->url, err);
    if (ok) {
        snprintf(out->key, sizeof(out->key), "%s", key);
    }
    free(copy);
    return ok;
}

void insights_account_clear(struct insights_account *account)
{
    text_clear(&account->url);
}
