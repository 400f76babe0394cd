/*
 * A virtual machine's managed identity, from the instance metadata service (IMDS).
 * https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
 */
#include "http/base_url.h"
#include "http/message.h"
#include "identity/entra_source.h"

#define PATH       "/metadata/identity/oauth2/token?api-version=2018-02-01&resource="
#define CONNECT_MS 1000 /* where there is such a service, it is next door */

static bool is_configured(const struct settings *settings)
{
    (void)settings;
    return true;
}

static bool check(const struct settings *settings, struct error *err)
{
    const char *host = settings_get(settings, SETTING_AZURE_METADATA_HOST);

    if (!http_base_url_is_valid(host) || !http_base_url_is_near(host)) {
        return error_set(err, ERROR_CONFIG,
                         "%s is not a URL of this host or its link, as http://169.254.169.254 is",
                         settings_table[SETTING_AZURE_METADATA_HOST].name);
    }
    return entra_check_client_id(settings, err);
}

static bool build(const struct settings *settings, const char *resource, struct entra_request *out,
                  struct error *err)
{
    (void)err;
    out->method = "GET";
    text_append(&out->url, settings_get(settings, SETTING_AZURE_METADATA_HOST));
    text_append(&out->url, PATH);
    http_append_encoded(&out->url, resource, "");
    entra_append_client_id(&out->url, settings);
    /* Whoever makes a service forward a URL cannot add a header: so the service knows that it is
     * the machine itself that asks. */
    out->header = "Metadata";
    out->header_value = "true";
    return true;
}

/* 410: the service is being updated, for up to 70 s; 404: it is not ready. */
static bool is_transient(int status)
{
    return status == 404 || status == 410;
}

const struct entra_source entra_machine = {
    .name = "the managed identity of this machine",
    .is_configured = is_configured,
    .check = check,
    .build = build,
    .connect_ms = CONNECT_MS,
    .is_transient = is_transient,
    .when_unreachable =
        "a managed identity is known on Azure's virtual machines alone; elsewhere a "
        "key, a signature or a password has to be set",
    .when_refused = "assign an identity to this machine; AZURE_CLIENT_ID must say which, where it "
                    "has several",
};
