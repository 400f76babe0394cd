#include "identity/entra_reply.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/json_memory.h"
#include "base/redact.h"
#include "base/text.h"

#define LONGEST_LIFE_S ((int64_t)7 * 24 * 3600)
#define MESSAGE_SIZE   512

/* A number, or one in a string. */
static bool read_integer(const json_t *value, int64_t *out)
{
    if (json_is_integer(value)) {
        *out = json_integer_value(value);
        return true;
    }
    return json_is_string(value) &&
           text_parse_integer(json_string_value(value), INT64_MIN, INT64_MAX, out);
}

/* *life_ms, at most a week, is not positive for a token that has ended. */
static bool read_life(const json_t *document, int64_t now_ms, int64_t *life_ms)
{
    const json_t *end = json_object_get(document, "expires_on");
    int64_t seconds = 0;
    int64_t end_ms = 0;

    if (!read_integer(json_object_get(document, "expires_in"), &seconds)) {
        if (read_integer(end, &seconds)) {
            seconds -= now_ms / 1000;
        } else if (json_is_string(end) && clock_parse_iso(json_string_value(end), &end_ms)) {
            seconds = (end_ms - now_ms) / 1000;
        } else {
            return false;
        }
    }
    *life_ms = (seconds < LONGEST_LIFE_S ? seconds : LONGEST_LIFE_S) * 1000;
    return true;
}

static bool is_token(const char *value)
{
    size_t length = strlen(value);

    return length > 0 && length <= TOKEN_CAP && text_is_printable_ascii(value) &&
           strchr(value, ' ') == NULL;
}

static bool read_token(const json_t *document, int64_t now_ms, struct token *out, struct error *err)
{
    const char *value = json_string_value(json_object_get(document, "access_token"));
    const char *type = json_string_value(json_object_get(document, "token_type"));
    int64_t life_ms = 0;

    if (value != NULL) {
        redact_register_token(value);
    }
    if (value == NULL || !is_token(value)) {
        return error_set(err, ERROR_FAILED, "the reply has no access_token");
    }
    if (type != NULL && strcasecmp(type, "Bearer") != 0) {
        return error_set(err, ERROR_FAILED, "the reply's token_type is not Bearer");
    }
    if (!read_life(document, now_ms, &life_ms)) {
        return error_set(err, ERROR_FAILED,
                         "the reply has neither expires_in nor expires_on in a known form");
    }
    if (life_ms <= 0) {
        error_set(err, ERROR_FAILED, "the reply's token has ended already");
        return error_hint(err, "check this host's clock");
    }
    *out = (struct token){.value = text_copy(value), .life_ms = life_ms};
    return out->value != NULL ? true : error_set_memory(err);
}

bool entra_reply_parse(const struct http_reply *reply, int64_t now_ms, struct token *out,
                       struct error *err)
{
    unsigned refusals = json_memory_refusals();
    json_t *document = json_loadb(text_string(&reply->body), reply->body.length, 0, NULL);
    bool ok;

    if (json_memory_refusals() != refusals) {
        ok = error_set_memory(err);
    } else if (!json_is_object(document)) {
        ok = error_set(err, ERROR_FAILED, "the reply is not a JSON object");
    } else {
        ok = read_token(document, now_ms, out, err);
    }
    json_decref(document);
    return ok;
}

/* The first line of a text from outside, as far as it fits. */
static void copy_line(char out[MESSAGE_SIZE], const json_t *value)
{
    const char *text = json_string_value(value);

    snprintf(out, MESSAGE_SIZE, "%s", text != NULL ? text : "");
    out[strcspn(out, "\r\n")] = '\0';
    redact_cut(out);
    text_cut_utf8(out);
    text_make_one_line(out);
}

/* {"error":"invalid_client","error_description":"..."}, or {"statusCode":400,"message":"..."}. */
bool entra_reply_refuse(const struct http_reply *reply, struct error *err)
{
    json_t *document = json_loadb(text_string(&reply->body), reply->body.length, 0, NULL);
    const json_t *description = json_object_get(document, "error_description");
    char code[MESSAGE_SIZE];
    char message[MESSAGE_SIZE];

    copy_line(code, json_object_get(document, "error"));
    copy_line(message, description != NULL ? description : json_object_get(document, "message"));
    error_set(err, ERROR_FAILED, "the answer was %d%s%s%s%s", reply->status,
              *code != '\0' ? " " : "", code, *message != '\0' ? ": " : "", message);
    json_decref(document);
    return false;
}
