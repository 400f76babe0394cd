/*
 * A Kubernetes service account's token, exchanged for one of Entra ID (AKS workload identity):
 * client credentials with a signed assertion (RFC 7523).
 * https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
 */
#include <string.h>

#include "base/file.h"
#include "base/redact.h"
#include "http/base_url.h"
#include "http/message.h"
#include "identity/entra_source.h"

#define ASSERTION_CAP ((size_t)16 * 1024)
#define BEARER_TYPE   "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

static const char *name_of(enum setting_id id)
{
    return settings_table[id].name;
}

static bool is_configured(const struct settings *settings)
{
    return settings_get(settings, SETTING_AZURE_TOKEN_FILE) != NULL;
}

/* A UUID, or a name of the tenant's. */
static bool is_tenant(const char *tenant)
{
    return *tenant != '\0' && *tenant != '.' &&
           tenant[strspn(tenant, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                 "-.")] == '\0';
}

static bool check(const struct settings *settings, struct error *err)
{
    static const enum setting_id needed[] = {SETTING_AZURE_CLIENT_ID, SETTING_AZURE_TENANT_ID};
    const char *authority = settings_get(settings, SETTING_AZURE_AUTHORITY_HOST);

    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        if (settings_get(settings, needed[i]) == NULL) {
            return error_set(err, ERROR_CONFIG, "%s is set, but %s is not",
                             name_of(SETTING_AZURE_TOKEN_FILE), name_of(needed[i]));
        }
    }
    if (!is_tenant(settings_get(settings, SETTING_AZURE_TENANT_ID))) {
        return error_set(err, ERROR_CONFIG, "%s is not the id or the name of a tenant",
                         name_of(SETTING_AZURE_TENANT_ID));
    }
    if (!http_base_url_is_valid(authority) || !http_base_url_is_private(authority)) {
        return error_set(err, ERROR_CONFIG, "%s is not an https URL",
                         name_of(SETTING_AZURE_AUTHORITY_HOST));
    }
    return entra_check_client_id(settings, err);
}

/* It is replaced while this process runs: read for each exchange. */
static bool append_assertion(struct text *body, const char *path, struct error *err)
{
    struct text file = TEXT_INIT(ASSERTION_CAP);
    bool found = false;
    bool ok = file_read(path, ASSERTION_CAP, &file, &found, NULL, err);

    if (ok && !found) {
        ok = error_set(err, ERROR_CONFIG, "%s names the file %s, which is not there",
                       name_of(SETTING_AZURE_TOKEN_FILE), path);
    }
    if (ok) {
        const char *assertion = file.data != NULL ? text_trim(file.data) : "";
        redact_register_token(assertion);
        http_append_encoded(body, assertion, "");
        ok = *assertion != '\0' || error_set(err, ERROR_CONFIG,
                                             "the file %s, which %s names, is "
                                             "empty",
                                             path, name_of(SETTING_AZURE_TOKEN_FILE));
    }
    if (file.data != NULL) {
        explicit_bzero(file.data, file.capacity);
    }
    text_clear(&file);
    return ok;
}

static bool build(const struct settings *settings, const char *resource, struct entra_request *out,
                  struct error *err)
{
    const char *authority = settings_get(settings, SETTING_AZURE_AUTHORITY_HOST);
    size_t length = strlen(authority);

    while (length > 0 && authority[length - 1] == '/') {
        length--;
    }
    out->method = "POST";
    text_append_bytes(&out->url, authority, length);
    text_appendf(&out->url, "/%s/oauth2/v2.0/token",
                 settings_get(settings, SETTING_AZURE_TENANT_ID));
    text_append(&out->body, "grant_type=client_credentials");
    entra_append_client_id(&out->body, settings);
    text_append(&out->body, "&scope=");
    http_append_encoded(&out->body, resource, "");
    text_append(&out->body, "%2F.default&client_assertion_type=");
    http_append_encoded(&out->body, BEARER_TYPE, "");
    text_append(&out->body, "&client_assertion=");
    out->content_type = "application/x-www-form-urlencoded";
    return append_assertion(&out->body, settings_get(settings, SETTING_AZURE_TOKEN_FILE), err);
}

static bool is_transient(int status)
{
    (void)status;
    return false;
}

const struct entra_source entra_workload = {
    .name = "the workload identity",
    .is_configured = is_configured,
    .check = check,
    .build = build,
    .is_transient = is_transient,
    .when_unreachable = "the pod must be able to reach AZURE_AUTHORITY_HOST",
    .when_refused = "AZURE_CLIENT_ID and AZURE_TENANT_ID must be those of an identity that has a "
                    "federated credential for this pod's service account",
};
