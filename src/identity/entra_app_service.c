/*
 * The managed identity of an app in App Service, Functions or Container Apps.
 * https://learn.microsoft.com/azure/container-apps/managed-identity
 */
#include "http/base_url.h"
#include "http/message.h"
#include "identity/entra_source.h"

#define QUERY "?api-version=2019-08-01&resource="

static const char *name_of(enum setting_id id)
{
    return settings_table[id].name;
}

static bool is_configured(const struct settings *settings)
{
    return settings_get(settings, SETTING_IDENTITY_ENDPOINT) != NULL;
}

static bool check(const struct settings *settings, struct error *err)
{
    const char *endpoint = settings_get(settings, SETTING_IDENTITY_ENDPOINT);

    if (!http_base_url_is_valid(endpoint) || !http_base_url_is_near(endpoint)) {
        return error_set(err, ERROR_CONFIG,
                         "%s is not an https URL, nor one of this host or its link",
                         name_of(SETTING_IDENTITY_ENDPOINT));
    }
    if (settings_get(settings, SETTING_IDENTITY_HEADER) == NULL) {
        error_set(err, ERROR_CONFIG, "%s is set, but %s is not", name_of(SETTING_IDENTITY_ENDPOINT),
                  name_of(SETTING_IDENTITY_HEADER));
        return error_hint(err,
                          "App Service and Container Apps set both; the endpoint of Azure Arc, "
                          "which has no such header, is not supported");
    }
    return entra_check_client_id(settings, err);
}

static bool build(const struct settings *settings, const char *resource, struct entra_request *out,
                  struct error *err)
{
    (void)err;
    out->method = "GET";
    text_append(&out->url, settings_get(settings, SETTING_IDENTITY_ENDPOINT));
    text_append(&out->url, QUERY);
    http_append_encoded(&out->url, resource, "");
    entra_append_client_id(&out->url, settings);
    out->header = "X-IDENTITY-HEADER";
    out->header_value = settings_get(settings, SETTING_IDENTITY_HEADER);
    return true;
}

static bool is_transient(int status)
{
    (void)status;
    return false;
}

const struct entra_source entra_app_service = {
    .name = "the managed identity of this app",
    .is_configured = is_configured,
    .check = check,
    .build = build,
    .is_transient = is_transient,
    .when_unreachable = "IDENTITY_ENDPOINT is the platform's, and changes: take it from the "
                        "environment of this process, not from a file",
    .when_refused =
        "assign an identity to the app; AZURE_CLIENT_ID must say which, where it is not "
        "the system's. IDENTITY_HEADER changes, too: take it from the environment",
};
