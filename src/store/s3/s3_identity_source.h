/*
 * Where temporary keys come from: one call each, which asks once (with retries) and keeps nothing.
 * The texts in the struct are borrowed from the settings.
 */
#ifndef STORE_S3_S3_IDENTITY_SOURCE_H
#define STORE_S3_S3_IDENTITY_SOURCE_H

#include <stdbool.h>

#include "base/error.h"
#include "base/settings.h"
#include "http/exchange.h"
#include "http/message.h"
#include "store/s3/s3_identity.h"

struct s3_identity_source {
    const struct settings *settings;
    const char *region;
    struct http_client *client;
};

/* AssumeRoleWithWebIdentity of the token service, which is not signed. The token's file is read
 * again each time, for it is replaced every hour.
 * https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html */
bool s3_identity_web(const struct s3_identity_source *source, struct s3_keys *out,
                     struct error *err);
/* https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html */
bool s3_identity_container(const struct s3_identity_source *source, struct s3_keys *out,
                           struct error *err);
/* IMDSv2:
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html
 */
bool s3_identity_machine(const struct s3_identity_source *source, struct s3_keys *out,
                         struct error *err);

/* The container's settings, without asking. */
bool s3_identity_check_container(const struct settings *settings, struct error *err);

/* Asks, and again while that can help. True with a reply of 2xx; `what` is for the error, which
 * does not repeat the reply. */
bool s3_identity_ask(const struct s3_identity_source *source, const struct http_request *request,
                     const char *what, struct http_reply *reply, struct error *err);
/* The JSON form that container and machine answer in. Registers the secrets for redaction. */
bool s3_identity_parse(const char *json, size_t size, struct s3_keys *out, struct error *err);
/* Takes over one value, "" included, if it fits and is printable ASCII. */
bool s3_identity_take(char *out, size_t size, const char *value, const char *what,
                      struct error *err);
/* A whole small file with a token, trimmed; registered for redaction. */
bool s3_identity_read_token(const char *path, const char *setting, struct text *out,
                            struct error *err);

#endif
