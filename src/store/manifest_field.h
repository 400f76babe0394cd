/*
 * The values of one object of a manifest, checked for their type as they are taken out. An error
 * names the place and the key; an output is set only when all was well.
 */
#ifndef STORE_MANIFEST_FIELD_H
#define STORE_MANIFEST_FIELD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "crypto/digest.h"
#include "stream/fingerprint.h"

/* Where the object stands, for messages. */
struct manifest_place {
    const char *array; /* NULL: it is the outermost one */
    size_t index;
};

/* "segments[7].KEY PROBLEM" or, in the outermost object, "KEY PROBLEM"; returns false. */
bool manifest_field_refuse(const struct manifest_place *place, const char *key, const char *problem,
                           struct error *err);

/* A whole number from 0 to INT64_MAX. */
bool manifest_field_count(const struct manifest_place *place, const json_t *object, const char *key,
                          uint64_t *out, struct error *err);
/* The same, or *has is false. */
bool manifest_field_count_if_any(const struct manifest_place *place, const json_t *object,
                                 const char *key, bool *has, uint64_t *out, struct error *err);
/* A text that is not empty and fits in `size` bytes with its NUL. */
bool manifest_field_text(const struct manifest_place *place, const json_t *object, const char *key,
                         char *out, size_t size, struct error *err);
/* The same, or null, which gives "". */
bool manifest_field_text_or_null(const struct manifest_place *place, const json_t *object,
                                 const char *key, char *out, size_t size, struct error *err);
/* A text, or hex digits of what is not UTF-8 under KEY_hex. */
bool manifest_field_name(const struct manifest_place *place, const json_t *object, const char *key,
                         bool may_be_null, char *out, size_t size, struct error *err);
/* An instant, or null: then *known is false. */
bool manifest_field_instant(const struct manifest_place *place, const json_t *object,
                            const char *key, bool *known, int64_t *out, struct error *err);
/* "fingerprint" */
bool manifest_field_fingerprint(const struct manifest_place *place, const json_t *object,
                                struct fingerprint *out, struct error *err);
/* "sha256" */
bool manifest_field_sha256(const struct manifest_place *place, const json_t *object,
                           unsigned char out[DIGEST_SHA256_SIZE], struct error *err);

#endif
