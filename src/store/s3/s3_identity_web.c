#include <string.h>

#include "base/clock.h"
#include "base/redact.h"
#include "base/text.h"
#include "store/s3/s3_identity_source.h"
#include "store/service_reply.h"
#include "store/xml.h"

#define REPLY_CAP (64 * 1024)
#define BODY_CAP  (256 * 1024)

static void append_url(struct text *url, const struct s3_identity_source *source)
{
    const char *endpoint = settings_get(source->settings, SETTING_AWS_ENDPOINT_STS);

    if (endpoint == NULL) {
        endpoint = settings_get(source->settings, SETTING_AWS_ENDPOINT);
    }
    if (endpoint != NULL) {
        text_appendf(url, "%s%s", endpoint, endpoint[strlen(endpoint) - 1] == '/' ? "" : "/");
    } else {
        text_appendf(url, "https://sts.%s.amazonaws.com%s/", source->region,
                     strncmp(source->region, "cn-", 3) == 0 ? ".cn" : "");
    }
}

static void append_body(struct text *body, const struct s3_identity_source *source,
                        const char *token)
{
    text_append(body, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=");
    http_append_encoded(body, settings_get(source->settings, SETTING_AWS_ROLE_ARN), "");
    text_append(body, "&RoleSessionName=");
    http_append_encoded(body, settings_get(source->settings, SETTING_AWS_ROLE_SESSION), "");
    text_append(body, "&WebIdentityToken=");
    http_append_encoded(body, token, "");
}

static bool read_value(const struct xml_node *parent, const char *name, char *out, size_t size,
                       struct error *err)
{
    struct text value = TEXT_INIT(S3_IDENTITY_TOKEN_SIZE);
    bool ok = xml_child_text(parent, name, &value) && value.length > 0;

    ok = ok ? s3_identity_take(out, size, text_string(&value), name, err)
            : error_set(err, ERROR_FAILED, "the token service's answer has no %s", name);
    text_clear(&value);
    return ok;
}

static bool read_keys(const struct http_reply *reply, struct s3_keys *out, struct error *err)
{
    struct xml *xml = xml_parse(reply->body.data, reply->body.length, err);
    char end[CLOCK_ISO_SIZE];

    if (xml == NULL) {
        return false;
    }
    const struct xml_node *keys =
        xml_first(xml_first(xml_root(xml), "AssumeRoleWithWebIdentityResult"), "Credentials");
    bool ok =
        read_value(keys, "AccessKeyId", out->access_key_id, sizeof(out->access_key_id), err) &&
        read_value(keys, "SecretAccessKey", out->secret, sizeof(out->secret), err) &&
        read_value(keys, "SessionToken", out->session_token, sizeof(out->session_token), err) &&
        read_value(keys, "Expiration", end, sizeof(end), err);
    redact_register_token(out->secret);
    redact_register_token(out->session_token);
    if (ok && !clock_parse_iso(end, &out->end_ms)) {
        ok = error_set(err, ERROR_FAILED, "the token service's answer has no valid Expiration");
    }
    xml_free(xml);
    return ok;
}

/* It says why in words that help: the role's trust, the token's age. */
static void explain(const struct http_reply *reply, struct error *err)
{
    struct text code = TEXT_INIT(64);
    struct text message = TEXT_INIT(1024);

    service_reply_element(reply, "Code", &code);
    service_reply_element(reply, "Message", &message);
    if (code.length > 0) {
        error_hint(err, "%s: %s", text_string(&code), text_string(&message));
    }
    error_hint(err, "check AWS_ROLE_ARN, the trust of that role, and AWS_WEB_IDENTITY_TOKEN_FILE");
    text_clear(&code);
    text_clear(&message);
}

bool s3_identity_web(const struct s3_identity_source *source, struct s3_keys *out,
                     struct error *err)
{
    const char *path = settings_get(source->settings, SETTING_AWS_TOKEN_FILE);
    struct http_reply reply = HTTP_REPLY_INIT(REPLY_CAP);
    struct text token = TEXT_INIT(0);
    struct text url = TEXT_INIT(1024);
    struct text body = TEXT_INIT(BODY_CAP);
    bool ok = s3_identity_read_token(path, "AWS_WEB_IDENTITY_TOKEN_FILE", &token, err);

    if (ok) {
        append_url(&url, source);
        append_body(&body, source, text_string(&token));
        struct http_request request = {.method = "POST",
                                       .url = text_string(&url),
                                       .body = body.data,
                                       .body_size = body.length};
        ok = url.failed || body.failed
                 ? error_set_memory(err)
                 : http_request_add(&request, "Content-Type", "application/x-www-form-urlencoded",
                                    err) &&
                       s3_identity_ask(source, &request, "assuming the role with the web identity",
                                       &reply, err);
        if (ok) {
            ok = read_keys(&reply, out, err);
        } else {
            explain(&reply, err);
        }
    }
    if (body.data != NULL) {
        explicit_bzero(body.data, body.length);
    }
    text_clear(&token);
    text_clear(&url);
    text_clear(&body);
    http_reply_clear(&reply);
    return ok;
}
