#include "notify/acs_account.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/connection_string.h"
#include "base/host.h"
#include "base/redact.h"
#include "base/text.h"
#include "crypto/base64.h"

#define SETTING        "ACS_CONNECTION_STRING"
#define LONGEST_STRING 4096
#define LONGEST_NAME   255

static bool malformed(struct error *err, const char *why)
{
    error_set(err, ERROR_CONFIG, SETTING ": %s (its value is not shown)", why);
    return error_hint(
        err, "the form is endpoint=https://RESOURCE.communication.azure.com/;accesskey=KEY");
}

static bool is_host_name(const char *name)
{
    size_t length = strlen(name);

    if (strcmp(name, "[::1]") == 0) {
        return true;
    }
    return length > 0 && length <= LONGEST_NAME && name[0] != '.' && name[0] != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") == length;
}

/* Takes a port off the end of the name; 0 when there is none, -1 when it is not one. */
static int64_t split_port(char *name)
{
    char *colon = strrchr(name, ':');
    int64_t port;

    if (colon == NULL || strchr(colon, ']') != NULL) {
        return 0;
    }
    *colon = '\0';
    return text_parse_integer(colon + 1, 1, 65535, &port) ? port : -1;
}

static bool parse_endpoint(char *endpoint, struct acs_account *out, struct error *err)
{
    bool secure = strncasecmp(endpoint, "https://", 8) == 0;

    if (!secure && strncasecmp(endpoint, "http://", 7) != 0) {
        return malformed(err, "the endpoint does not begin with https://");
    }
    char *name = endpoint + (secure ? 8 : 7);
    for (size_t length = strlen(name); length > 0 && name[length - 1] == '/';) {
        name[--length] = '\0';
    }
    for (char *c = name; *c != '\0'; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    int64_t port = split_port(name);
    if (port < 0 || !is_host_name(name)) {
        return malformed(err, "the endpoint is not a scheme and a host name, with nothing after "
                              "them but a port");
    }
    if (!secure && !host_is_loopback(name, strlen(name))) {
        return malformed(err, "the endpoint is not https, and not this host itself");
    }
    /* libcurl sends the port only when it is not the scheme's own. */
    if (port == 0 || port == (secure ? 443 : 80)) {
        snprintf(out->host, sizeof(out->host), "%s", name);
    } else {
        snprintf(out->host, sizeof(out->host), "%s:%d", name, (int)port);
    }
    snprintf(out->endpoint, sizeof(out->endpoint), "%s%s", secure ? "https://" : "http://",
             out->host);
    return true;
}

static bool parse_parts(char *string, struct acs_account *out, struct error *err)
{
    struct connection_part parts[] = {{.name = "endpoint"}, {.name = "accesskey"}};

    bool split = connection_string_split(string, SETTING, parts, 2, err);
    char *endpoint = parts[0].value;
    const char *key = parts[1].value;
    redact_register(key);
    if (!split) {
        return false;
    }
    if (endpoint == NULL || key == NULL) {
        return malformed(err, endpoint == NULL ? "endpoint= is missing" : "accesskey= is missing");
    }
    if (!base64_decode(key, out->key, sizeof(out->key), &out->key_size) || out->key_size == 0) {
        return malformed(err, "the access key is not base64");
    }
    return parse_endpoint(endpoint, out, err);
}

bool acs_account_parse(const char *connection_string, struct acs_account *out, struct error *err)
{
    struct acs_account account = {.key_size = 0};

    if (strlen(connection_string) > LONGEST_STRING) {
        return malformed(err, "it is too long");
    }
    char *parts = text_copy(connection_string);
    if (parts == NULL) {
        return error_set_memory(err);
    }
    size_t length = strlen(parts);
    bool ok = parse_parts(parts, &account, err);
    explicit_bzero(parts, length);
    free(parts);
    if (ok) {
        *out = account;
    }
    acs_account_clear(&account);
    return ok;
}

void acs_account_clear(struct acs_account *account)
{
    explicit_bzero(account, sizeof(*account));
}
