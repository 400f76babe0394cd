#include "store/manifest_field.h"

#include <stdio.h>
#include <string.h>

#include "store/backup_object.h"

#define NAME_SIZE 1024 /* the longest name that has a form in hex */
#define TEXT_SIZE 512

bool manifest_field_refuse(const struct manifest_place *place, const char *key, const char *problem,
                           struct error *err)
{
    if (place->array == NULL) {
        return error_set(err, ERROR_DAMAGED, "%s %s", key, problem);
    }
    return error_set(err, ERROR_DAMAGED, "%s[%zu].%s %s", place->array, place->index, key, problem);
}

static bool refuse_or_miss(const struct manifest_place *place, const char *key, const json_t *value,
                           const char *problem, struct error *err)
{
    return manifest_field_refuse(place, key, value == NULL ? "is missing" : problem, err);
}

bool manifest_field_count(const struct manifest_place *place, const json_t *object, const char *key,
                          uint64_t *out, struct error *err)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        return refuse_or_miss(place, key, value, "is not a whole number from 0 on", err);
    }
    *out = (uint64_t)json_integer_value(value);
    return true;
}

bool manifest_field_count_if_any(const struct manifest_place *place, const json_t *object,
                                 const char *key, bool *has, uint64_t *out, struct error *err)
{
    *has = json_object_get(object, key) != NULL;
    return !*has || manifest_field_count(place, object, key, out, err);
}

bool manifest_field_text(const struct manifest_place *place, const json_t *object, const char *key,
                         char *out, size_t size, struct error *err)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_string(value) || json_string_length(value) == 0) {
        return refuse_or_miss(place, key, value, "is not a text", err);
    }
    if (json_string_length(value) >= size) {
        return manifest_field_refuse(place, key, "is too long", err);
    }
    memcpy(out, json_string_value(value), json_string_length(value) + 1);
    return true;
}

bool manifest_field_text_or_null(const struct manifest_place *place, const json_t *object,
                                 const char *key, char *out, size_t size, struct error *err)
{
    if (!json_is_null(json_object_get(object, key))) {
        return manifest_field_text(place, object, key, out, size, err);
    }
    out[0] = '\0';
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* `size` bytes from twice as many digits, all of the text. */
static bool parse_hex(const char *hex, unsigned char *out, size_t size)
{
    if (strlen(hex) != size * 2) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        int high = hex_digit(hex[2 * i]);
        int low = hex_digit(hex[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

bool manifest_field_name(const struct manifest_place *place, const json_t *object, const char *key,
                         bool may_be_null, char *out, size_t size, struct error *err)
{
    char hex_key[32];
    char hex[NAME_SIZE * 2];

    snprintf(hex_key, sizeof(hex_key), "%s_hex", key);
    if (json_object_get(object, hex_key) == NULL) {
        return may_be_null ? manifest_field_text_or_null(place, object, key, out, size, err)
                           : manifest_field_text(place, object, key, out, size, err);
    }
    if (json_object_get(object, key) != NULL) {
        return manifest_field_refuse(place, key, "and the same in hex are both there", err);
    }
    if (!manifest_field_text(place, object, hex_key, hex, sizeof(hex), err)) {
        return false;
    }
    size_t length = strlen(hex) / 2;
    if (length >= size) {
        return manifest_field_refuse(place, hex_key, "is too long", err);
    }
    out[length] = '\0';
    /* No name has a byte of 0: it would end there. */
    if (!parse_hex(hex, (unsigned char *)out, length) || strlen(out) != length) {
        return manifest_field_refuse(place, hex_key, "is not hex digits of bytes", err);
    }
    return true;
}

bool manifest_field_instant(const struct manifest_place *place, const json_t *object,
                            const char *key, bool *known, int64_t *out, struct error *err)
{
    char text[TEXT_SIZE];

    if (!manifest_field_text_or_null(place, object, key, text, sizeof(text), err)) {
        return false;
    }
    *known = text[0] != '\0';
    return !*known || backup_instant_parse(text, out) ||
           manifest_field_refuse(place, key, "is not an instant", err);
}

bool manifest_field_fingerprint(const struct manifest_place *place, const json_t *object,
                                struct fingerprint *out, struct error *err)
{
    char text[TEXT_SIZE];

    return manifest_field_text(place, object, "fingerprint", text, sizeof(text), err) &&
           (fingerprint_parse(text, out) ||
            manifest_field_refuse(place, "fingerprint", "is not 32 hex digits", err));
}

bool manifest_field_sha256(const struct manifest_place *place, const json_t *object,
                           unsigned char out[DIGEST_SHA256_SIZE], struct error *err)
{
    char text[TEXT_SIZE];

    return manifest_field_text(place, object, "sha256", text, sizeof(text), err) &&
           (parse_hex(text, out, DIGEST_SHA256_SIZE) ||
            manifest_field_refuse(place, "sha256", "is not 64 hex digits", err));
}
