#include <jansson.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_memory.h"
#include "base/redact.h"
#include "base/text.h"
#include "http/base_url.h"
#include "store/s3/s3_bucket.h"
#include "store/s3/s3_identity_source.h"

#define REPLY_CAP        (64 * 1024)
#define URL_CAP          2048
#define CONTAINER_HOST   "http://169.254.170.2"
#define ROLES_PATH       "/latest/meta-data/iam/security-credentials/"
#define SESSION_SECONDS  "21600"
#define MOST_ROLE_LENGTH 128

static bool take_member(const json_t *object, const char *name, char *out, size_t size,
                        struct error *err)
{
    const char *value = json_string_value(json_object_get(object, name));

    return value != NULL && *value != '\0'
               ? s3_identity_take(out, size, value, name, err)
               : error_set(err, ERROR_FAILED, "the answer has no %s", name);
}

bool s3_identity_parse(const char *json, size_t size, struct s3_keys *out, struct error *err)
{
    unsigned refusals = json_memory_refusals();
    json_t *object = json_loadb(json, size, 0, NULL);
    char end[CLOCK_ISO_SIZE];
    bool ok = json_memory_refusals() == refusals;

    if (!ok) {
        error_set_memory(err);
    } else if (!json_is_object(object)) {
        ok = error_set(err, ERROR_FAILED, "the answer is not a JSON object");
    } else {
        ok = take_member(object, "AccessKeyId", out->access_key_id, sizeof(out->access_key_id),
                         err) &&
             take_member(object, "SecretAccessKey", out->secret, sizeof(out->secret), err) &&
             take_member(object, "Token", out->session_token, sizeof(out->session_token), err) &&
             take_member(object, "Expiration", end, sizeof(end), err);
        redact_register_token(out->secret);
        redact_register_token(out->session_token);
    }
    if (ok && !clock_parse_iso(end, &out->end_ms)) {
        ok = error_set(err, ERROR_FAILED, "the answer has no valid Expiration");
    }
    json_decref(object);
    return ok;
}

bool s3_identity_check_container(const struct settings *settings, struct error *err)
{
    const char *path = settings_get(settings, SETTING_AWS_CONTAINER_PATH);
    const char *url = settings_get(settings, SETTING_AWS_CONTAINER_URL);

    if (path != NULL) {
        return (path[0] == '/' && text_is_printable_ascii(path) && strlen(path) < URL_CAP / 2) ||
               error_set(err, ERROR_CONFIG,
                         "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is not a path that begins with /");
    }
    if (!s3_bucket_check_endpoint("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, err)) {
        return false;
    }
    /* A token goes there: it must not leave this host but over TLS. */
    return http_base_url_is_near(url) ||
           error_set(err, ERROR_CONFIG,
                     "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor this host");
}

static bool ask_for_keys(const struct s3_identity_source *source, struct http_request *request,
                         const char *what, struct s3_keys *out, struct error *err)
{
    struct http_reply reply = HTTP_REPLY_INIT(REPLY_CAP);
    bool ok = s3_identity_ask(source, request, what, &reply, err) &&
              (s3_identity_parse(text_string(&reply.body), reply.body.length, out, err) ||
               error_prefix(err, "%s", what));

    http_reply_clear(&reply);
    return ok;
}

bool s3_identity_container(const struct s3_identity_source *source, struct s3_keys *out,
                           struct error *err)
{
    const char *path = settings_get(source->settings, SETTING_AWS_CONTAINER_PATH);
    const char *full = settings_get(source->settings, SETTING_AWS_CONTAINER_URL);
    const char *token = settings_get(source->settings, SETTING_AWS_CONTAINER_TOKEN);
    const char *file = settings_get(source->settings, SETTING_AWS_CONTAINER_TOKEN_FILE);
    struct text url = TEXT_INIT(URL_CAP);
    struct text read = TEXT_INIT(0);
    struct http_request request = {.method = "GET"};
    bool ok = true;

    text_appendf(&url, "%s%s", path != NULL ? CONTAINER_HOST : full, path != NULL ? path : "");
    request.url = text_string(&url);
    if (file != NULL) {
        ok = s3_identity_read_token(file, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &read, err);
        token = text_string(&read);
    }
    ok = ok && (token == NULL || http_request_add(&request, "Authorization", token, err)) &&
         ask_for_keys(source, &request, "asking the container for its credentials", out, err);
    text_clear(&url);
    text_clear(&read);
    return ok;
}

struct machine {
    const struct s3_identity_source *source;
    const char *endpoint; /* without '/' at the end */
    size_t endpoint_length;
    char token[S3_IDENTITY_FIELD_SIZE];
    char role[MOST_ROLE_LENGTH];
};

/* The body's first line. */
static bool ask_for_line(struct machine *machine, struct http_request *request, const char *what,
                         char *out, size_t size, struct error *err)
{
    struct http_reply reply = HTTP_REPLY_INIT(REPLY_CAP);
    bool ok = s3_identity_ask(machine->source, request, what, &reply, err);

    if (ok) {
        char *line = reply.body.data;
        if (line != NULL) {
            line[strcspn(line, "\r\n")] = '\0';
        }
        ok = line != NULL && *line != '\0'
                 ? s3_identity_take(out, size, line, what, err)
                 : error_set(err, ERROR_FAILED, "%s: the answer is empty", what);
    }
    http_reply_clear(&reply);
    return ok;
}

static bool fetch_token(struct machine *machine, struct error *err)
{
    struct text url = TEXT_INIT(URL_CAP);

    text_append_bytes(&url, machine->endpoint, machine->endpoint_length);
    text_append(&url, "/latest/api/token");
    struct http_request request = {.method = "PUT", .url = text_string(&url)};
    bool ok =
        http_request_add(&request, "X-aws-ec2-metadata-token-ttl-seconds", SESSION_SECONDS, err) &&
        ask_for_line(machine, &request, "asking the machine for a session", machine->token,
                     sizeof(machine->token), err);
    redact_register_token(machine->token);
    text_clear(&url);
    return ok;
}

static bool fetch_role(struct machine *machine, struct error *err)
{
    struct text url = TEXT_INIT(URL_CAP);

    text_append_bytes(&url, machine->endpoint, machine->endpoint_length);
    text_append(&url, ROLES_PATH);
    struct http_request request = {.method = "GET", .url = text_string(&url)};
    bool ok = http_request_add(&request, "X-aws-ec2-metadata-token", machine->token, err) &&
              ask_for_line(machine, &request, "asking the machine for its role", machine->role,
                           sizeof(machine->role), err);
    text_clear(&url);
    return ok;
}

bool s3_identity_machine(const struct s3_identity_source *source, struct s3_keys *out,
                         struct error *err)
{
    const char *endpoint = settings_get(source->settings, SETTING_AWS_METADATA_ENDPOINT);
    struct machine machine = {
        .source = source, .endpoint = endpoint, .endpoint_length = strlen(endpoint)};
    struct text url = TEXT_INIT(URL_CAP);
    struct http_request request = {.method = "GET"};

    machine.endpoint_length -= endpoint[machine.endpoint_length - 1] == '/';
    bool ok = fetch_token(&machine, err) && fetch_role(&machine, err);
    if (ok) {
        text_append_bytes(&url, endpoint, machine.endpoint_length);
        text_append(&url, ROLES_PATH);
        http_append_encoded(&url, machine.role, "");
        request.url = text_string(&url);
        ok = http_request_add(&request, "X-aws-ec2-metadata-token", machine.token, err) &&
             ask_for_keys(source, &request, "asking the machine for its credentials", out, err);
    }
    text_clear(&url);
    explicit_bzero(machine.token, sizeof(machine.token));
    return ok ? true
              : error_hint(err, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY where the machine "
                                "has no role, or cannot be asked (in a container its hop limit "
                                "must be 2)");
}
