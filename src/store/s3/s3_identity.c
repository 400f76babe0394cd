#include "store/s3/s3_identity.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/redact.h"
#include "base/text.h"
#include "http/base_url.h"
#include "http/retry.h"
#include "store/s3/s3_bucket.h"
#include "store/s3/s3_identity_source.h"

/* No request lasts so long that its keys end under way: a part's attempt is signed anew. */
#define EARLY_MS   (5 * 60 * 1000)
#define AGAIN_MS   (30 * 1000)
#define REPLY_MS   (10 * 1000)
#define CONNECT_MS (2 * 1000)
#define ATTEMPTS   4
#define TOTAL_MS   (30 * 1000)
#define RETRY_MS   250
#define LAST_MS    (5 * 1000)
#define TOKEN_CAP  (64 * 1024)

typedef bool (*fetch_keys)(const struct s3_identity_source *source, struct s3_keys *out,
                           struct error *err);

enum key_part { KEY_ID, KEY_SECRET, KEY_TOKEN, KEY_PARTS };
static const enum setting_id key_settings[] = {[KEY_ID] = SETTING_AWS_ACCESS_KEY_ID,
                                               [KEY_SECRET] = SETTING_AWS_SECRET_ACCESS_KEY,
                                               [KEY_TOKEN] = SETTING_AWS_SESSION_TOKEN};

struct s3_identity {
    struct s3_identity_source source;
    char *region;
    char names[KEY_PARTS][SETTINGS_NAME_SIZE]; /* of the settings that an access key stands in */
    fetch_keys fetch;                          /* NULL: the keys are the settings' */
    pthread_mutex_t lock;                      /* of the client and what follows */
    struct s3_keys keys;
    bool known;
    int64_t
        again_ms; /* after a failure they are not asked for again before, on the monotonic clock */
};

bool s3_identity_take(char *out, size_t size, const char *value, const char *what,
                      struct error *err)
{
    if (strlen(value) >= size || !text_is_printable_ascii(value)) {
        return error_set(err, ERROR_CONFIG, "%s is longer than %zu bytes or not printable ASCII",
                         what, size - 1);
    }
    memcpy(out, value, strlen(value) + 1);
    return true;
}

bool s3_identity_read_token(const char *path, const char *setting, struct text *out,
                            struct error *err)
{
    bool found = false;

    *out = (struct text)TEXT_INIT(TOKEN_CAP);
    if (!file_read(path, TOKEN_CAP, out, &found, NULL, err)) {
        return error_prefix(err, "%s", setting);
    }
    char *token = found ? text_trim(out->data != NULL ? out->data : "") : "";
    if (!found || *token == '\0' || !text_is_printable_ascii(token)) {
        return error_set(err, ERROR_CONFIG, "%s: %s %s", setting, path,
                         found ? "does not hold a token" : "does not exist");
    }
    memmove(out->data, token, strlen(token) + 1);
    out->length = strlen(out->data);
    redact_register_token(out->data);
    return true;
}

bool s3_identity_ask(const struct s3_identity_source *source, const struct http_request *request,
                     const char *what, struct http_reply *reply, struct error *err)
{
    const struct retry_policy policy = {.attempts = ATTEMPTS,
                                        .first_wait_ms = RETRY_MS,
                                        .longest_wait_ms = LAST_MS,
                                        .total_ms = TOTAL_MS,
                                        .ignore_stop = true};
    struct retry retry;

    retry_begin(&retry, &policy);
    do {
        if (http_exchange(source->client, request, reply, err)) {
            if (reply->status >= 200 && reply->status < 300) {
                error_clear(err);
                return true;
            }
            error_set(err, ERROR_FAILED, "%s %.*s answered %d", request->method,
                      (int)strcspn(request->url, "?"), request->url, reply->status);
            err->retryable = retry_status_is_transient(reply->status);
        }
    } while (retry_again(&retry, reply, err));
    return error_prefix(err, "%s", what);
}

static bool set_static(struct s3_identity *identity, const char *const values[KEY_PARTS],
                       struct error *err)
{
    struct s3_keys *keys = &identity->keys;
    const char *id = values[KEY_ID];
    const char *token = values[KEY_TOKEN];

    if (id == NULL || values[KEY_SECRET] == NULL) {
        enum key_part missing = id == NULL ? KEY_ID : KEY_SECRET;
        enum key_part there = id != NULL                   ? KEY_ID
                              : values[KEY_SECRET] != NULL ? KEY_SECRET
                                                           : KEY_TOKEN;
        return error_set(err, ERROR_CONFIG, "%s is set, but %s is not", identity->names[there],
                         identity->names[missing]);
    }
    /* It becomes a part of the header that is parsed by these. */
    if (id[strcspn(id, "/,= ")] != '\0') {
        return error_set(err, ERROR_CONFIG, "%s is not the id of an access key",
                         identity->names[KEY_ID]);
    }
    identity->known = true;
    return s3_identity_take(keys->access_key_id, sizeof(keys->access_key_id), id,
                            identity->names[KEY_ID], err) &&
           s3_identity_take(keys->secret, sizeof(keys->secret), values[KEY_SECRET],
                            identity->names[KEY_SECRET], err) &&
           s3_identity_take(keys->session_token, sizeof(keys->session_token),
                            token != NULL ? token : "", identity->names[KEY_TOKEN], err);
}

/* The access key of this bucket alone, or the one for all others, never parts of both. *any: there
 * is one, or something of it. */
static bool use_access_key(struct s3_identity *identity, const struct settings *settings,
                           const char *bucket, bool *any, struct error *err)
{
    const char *values[KEY_PARTS] = {NULL};
    size_t length = strlen(bucket);

    *any = false;
    for (int i = 0; i < KEY_PARTS; i++) {
        settings_name_for(key_settings[i], bucket, length, identity->names[i]);
        values[i] = settings_get_for(settings, key_settings[i], bucket, length, identity->names[i]);
        *any = *any || values[i] != NULL;
    }
    if (*any) {
        return set_static(identity, values, err);
    }
    for (int i = 0; i < KEY_PARTS; i++) {
        snprintf(identity->names[i], sizeof(identity->names[i]), "%s",
                 settings_table[key_settings[i]].name);
        values[i] = settings_get(settings, key_settings[i]);
    }
    *any = values[KEY_ID] != NULL || values[KEY_SECRET] != NULL;
    return !*any || set_static(identity, values, err);
}

static bool check_web(const struct settings *settings, struct error *err)
{
    const char *role = settings_get(settings, SETTING_AWS_ROLE_ARN);
    const char *name = "AWS_ENDPOINT_URL_STS";
    const char *endpoint = settings_get(settings, SETTING_AWS_ENDPOINT_STS);

    if (endpoint == NULL) {
        name = "AWS_ENDPOINT_URL";
        endpoint = settings_get(settings, SETTING_AWS_ENDPOINT);
    }
    if (role == NULL) {
        return error_set(err, ERROR_CONFIG,
                         "AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not");
    }
    if (strncmp(role, "arn:", 4) != 0 || !text_is_printable_ascii(role)) {
        return error_set(err, ERROR_CONFIG, "AWS_ROLE_ARN '%s' is not the ARN of a role", role);
    }
    if (endpoint == NULL) {
        return true;
    }
    return s3_bucket_check_endpoint(name, endpoint, err) &&
           (http_base_url_is_private(endpoint) ||
            error_set(err, ERROR_CONFIG,
                      "%s = '%s': the pod's token would be sent to an endpoint that is not https, "
                      "and not this host itself",
                      name, endpoint));
}

static bool check_machine(const struct settings *settings, struct error *err)
{
    const char *disabled = settings_get(settings, SETTING_AWS_METADATA_DISABLED);

    if (strcasecmp(disabled, "true") == 0) {
        error_set(err, ERROR_CONFIG, "there are no credentials for S3");
        return error_hint(err, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run with an "
                               "identity of AWS (AWS_EC2_METADATA_DISABLED is true)");
    }
    if (strcasecmp(disabled, "false") != 0) {
        return error_set(err, ERROR_CONFIG, "AWS_EC2_METADATA_DISABLED must be true or false");
    }
    return s3_bucket_check_endpoint("AWS_EC2_METADATA_SERVICE_ENDPOINT",
                                    settings_get(settings, SETTING_AWS_METADATA_ENDPOINT), err);
}

static bool choose(struct s3_identity *identity, const struct settings *settings,
                   const char *bucket, struct error *err)
{
    bool has_key = false;
    bool ok = use_access_key(identity, settings, bucket, &has_key, err);

    if (!ok || has_key) {
        return ok;
    }
    if (settings_get(settings, SETTING_AWS_TOKEN_FILE) != NULL) {
        identity->fetch = s3_identity_web;
        return check_web(settings, err);
    }
    if (settings_get(settings, SETTING_AWS_CONTAINER_PATH) != NULL ||
        settings_get(settings, SETTING_AWS_CONTAINER_URL) != NULL) {
        identity->fetch = s3_identity_container;
        return s3_identity_check_container(settings, err);
    }
    identity->fetch = s3_identity_machine;
    return check_machine(settings, err);
}

bool s3_identity_new(const struct settings *settings, const char *bucket, const char *region,
                     struct s3_identity **out, struct error *err)
{
    struct s3_identity *identity = calloc(1, sizeof(*identity));

    if (identity == NULL) {
        return error_set_memory(err);
    }
    pthread_mutex_init(&identity->lock, NULL);
    identity->region = text_copy(region);
    identity->source =
        (struct s3_identity_source){.settings = settings, .region = identity->region};
    if (identity->region == NULL) {
        error_set_memory(err);
        s3_identity_free(identity);
        return false;
    }
    if (!choose(identity, settings, bucket, err)) {
        s3_identity_free(identity);
        return false;
    }
    *out = identity;
    return true;
}

void s3_identity_free(struct s3_identity *identity)
{
    if (identity == NULL) {
        return;
    }
    http_client_free(identity->source.client);
    pthread_mutex_destroy(&identity->lock);
    free(identity->region);
    explicit_bzero(&identity->keys, sizeof(identity->keys));
    free(identity);
}

static bool connect_client(struct s3_identity *identity, struct error *err)
{
    const struct http_limits limits = {
        .connect_ms = CONNECT_MS, .stall_s = REPLY_MS / 1000, .reply_ms = REPLY_MS};

    if (identity->source.client == NULL) {
        identity->source.client = http_client_new(&limits, err);
        if (identity->source.client == NULL) {
            return false;
        }
        http_client_ignore_stop(identity->source.client);
    }
    return true;
}

/* Keys that are not to be had again are used as long as they are good. */
static bool renew(struct s3_identity *identity, int64_t left_ms, struct error *err)
{
    struct error problem = ERROR_INIT;
    struct s3_keys keys = {.end_ms = 0};
    bool ok =
        connect_client(identity, &problem) && identity->fetch(&identity->source, &keys, &problem);

    if (ok) {
        identity->keys = keys;
        identity->known = true;
    } else if (left_ms > 0) {
        log_warning("s3_keys_not_renewed", "%s; the ones in use are good for %lld s more",
                    problem.text, (long long)left_ms / 1000);
        identity->again_ms = clock_monotonic_ms() + AGAIN_MS;
        ok = true;
    } else {
        *err = problem;
    }
    explicit_bzero(&keys, sizeof(keys));
    return ok;
}

bool s3_identity_get(struct s3_identity *identity, struct s3_keys *out, struct error *err)
{
    bool ok = true;

    pthread_mutex_lock(&identity->lock);
    if (identity->fetch != NULL) {
        int64_t left_ms = identity->known ? identity->keys.end_ms - clock_utc_ms() : 0;
        bool was_tried = left_ms > 0 && clock_monotonic_ms() < identity->again_ms;
        ok = left_ms > EARLY_MS || was_tried || renew(identity, left_ms, err);
    }
    if (ok) {
        *out = identity->keys;
    }
    pthread_mutex_unlock(&identity->lock);
    return ok ? true : error_prefix(err, "getting credentials for S3");
}

bool s3_identity_hint_key(const struct s3_identity *identity, struct error *err)
{
    return error_hint(err, "check %s and %s", identity->names[KEY_ID], identity->names[KEY_SECRET]);
}

bool s3_identity_hint_token(const struct s3_identity *identity, struct error *err)
{
    return error_hint(err, "%s has ended: set new temporary credentials",
                      identity->names[KEY_TOKEN]);
}

bool s3_identity_discard(struct s3_identity *identity, const struct s3_keys *keys)
{
    bool renewable = identity->fetch != NULL;

    pthread_mutex_lock(&identity->lock);
    if (renewable && strcmp(identity->keys.access_key_id, keys->access_key_id) == 0) {
        identity->known = false;
    }
    pthread_mutex_unlock(&identity->lock);
    return renewable;
}
