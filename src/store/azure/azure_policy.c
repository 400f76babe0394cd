#include "store/azure/azure_policy.h"

#include <string.h>
#include <strings.h>

#include "base/log.h"

#define REPLY_CAP (64 * 1024)
#define MODE_SIZE 32

void azure_policy_set(struct azure_policy *policy, const struct azure_session *session,
                      int64_t retain_ms)
{
    *policy = (struct azure_policy){.mode = NULL};
    if (session->options->immutability != NULL && retain_ms > 0) {
        policy->mode = session->options->immutability;
        clock_format_http(policy->until, clock_utc_ms() + retain_ms);
    }
}

static bool judge_container(const struct azure_session *session, const struct http_reply *reply,
                            struct error *err)
{
    char enabled[MODE_SIZE];

    http_reply_header(reply, "x-ms-immutable-storage-with-versioning-enabled", enabled,
                      sizeof(enabled));
    if (reply->status == 403) {
        log_debug("azure_container_not_examined",
                  "These credentials may not ask whether container %s has version-level "
                  "immutability",
                  session->container);
        return true;
    }
    if (strcmp(enabled, "true") == 0) {
        return true;
    }
    error_set(err, ERROR_CONFIG, "container %s %s, which the option immutability needs",
              session->container,
              reply->status == 404
                  ? "does not exist, and one made here would have no version-level "
                    "immutability"
                  : "has no version-level immutability");
    return error_hint(err, "'az storage container-rm create --enable-vlw' makes one that has it");
}

bool azure_policy_check_container(const struct azure_session *session, struct error *err)
{
    struct http_reply reply = HTTP_REPLY_INIT(REPLY_CAP);
    const struct azure_request request = {
        .method = "HEAD", .parameters = {{"restype", "container"}}, .answers = {403, 404}};
    bool ok =
        azure_request_send(session, &request, &reply, err) && judge_container(session, &reply, err);

    http_reply_clear(&reply);
    return ok;
}

/* The service may put the end off, but not make it earlier. */
static bool is_kept(const struct azure_policy *policy, const struct http_reply *reply)
{
    char mode[MODE_SIZE];
    char until[CLOCK_HTTP_SIZE];
    int64_t asked_ms;
    int64_t kept_ms;

    return http_reply_header(reply, "x-ms-immutability-policy-mode", mode, sizeof(mode)) &&
           http_reply_header(reply, "x-ms-immutability-policy-until-date", until, sizeof(until)) &&
           strcasecmp(mode, policy->mode) == 0 && clock_parse_http(until, &kept_ms) &&
           clock_parse_http(policy->until, &asked_ms) && kept_ms >= asked_ms;
}

bool azure_policy_confirm(const struct azure_session *session, const char *blob,
                          const struct azure_policy *policy, bool *kept, struct error *err)
{
    struct http_reply reply = HTTP_REPLY_INIT(REPLY_CAP);
    const struct azure_request request = {
        .method = "HEAD", .blob = blob, .encryption = AZURE_ENCRYPTION_READ};
    bool ok = azure_request_send(session, &request, &reply, err);

    if (ok) {
        *kept = is_kept(policy, &reply);
    }
    http_reply_clear(&reply);
    return ok ? true : error_prefix(err, "asking for the immutability policy");
}
