/*
 * As whom S3 is asked: the keys that requests are signed with, from the settings or from where the
 * pod, container or machine gets its identity, in AWS' order: access key, web identity, container,
 * machine. Temporary keys are replaced before they end, also in the midst of an upload.
 * https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
 */
#ifndef STORE_S3_S3_IDENTITY_H
#define STORE_S3_S3_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/settings.h"

#define S3_IDENTITY_FIELD_SIZE 256
#define S3_IDENTITY_TOKEN_SIZE 8192

struct s3_keys {
    char access_key_id[S3_IDENTITY_FIELD_SIZE];
    char secret[S3_IDENTITY_FIELD_SIZE];
    char session_token[S3_IDENTITY_TOKEN_SIZE]; /* "": they are not temporary */
    int64_t end_ms;                             /* UTC; 0: they do not end */
};

struct s3_identity;

/* Checks the settings, which are borrowed to the end, and asks nothing yet. An access key that is
 * set for this bucket alone (AWS_ACCESS_KEY_ID_BUCKET, ...) comes before everything else. */
bool s3_identity_new(const struct settings *settings, const char *bucket, const char *region,
                     struct s3_identity **out, struct error *err);
void s3_identity_free(struct s3_identity *identity);

/* Keys that are good for some minutes more. Thread-safe; may ask a service, which a stop does not
 * end (a commit needs keys, too) but a few seconds do. */
bool s3_identity_get(struct s3_identity *identity, struct s3_keys *out, struct error *err);
/* What to look at when the service does not accept the access key, or its session token. */
bool s3_identity_hint_key(const struct s3_identity *identity, struct error *err);
bool s3_identity_hint_token(const struct s3_identity *identity, struct error *err);
/* The service refuses these keys as too old: others are fetched next time. False when there can be
 * no others. Thread-safe. */
bool s3_identity_discard(struct s3_identity *identity, const struct s3_keys *keys);

#endif
