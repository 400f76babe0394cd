#include "store/azure/azure_account.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/connection_string.h"
#include "base/redact.h"
#include "base/text.h"
#include "crypto/base64.h"
#include "http/message.h"

#define DEVELOPMENT_NAME "devstoreaccount1"
/* Published in Microsoft's documentation of the emulator: the same everywhere, no secret. */
#define DEVELOPMENT_KEY                                                                            \
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
#define DEVELOPMENT_HOST "http://127.0.0.1"
#define DEVELOPMENT_PORT "10000"
#define CONNECTION_CAP   16384

enum part {
    PART_PROTOCOL,
    PART_NAME,
    PART_KEY,
    PART_SUFFIX,
    PART_ENDPOINT,
    PART_SAS,
    PART_DEVELOPMENT,
    PART_PROXY,
    PART_COUNT
};
/* Others, of queues, tables and files, are passed over. */
#define PARTS_INIT                                                                                 \
    {                                                                                              \
        [PART_PROTOCOL] = {.name = "DefaultEndpointsProtocol"},                                    \
        [PART_NAME] = {.name = "AccountName"}, [PART_KEY] = {.name = "AccountKey"},                \
        [PART_SUFFIX] = {.name = "EndpointSuffix"}, [PART_ENDPOINT] = {.name = "BlobEndpoint"},    \
        [PART_SAS] = {.name = "SharedAccessSignature"},                                            \
        [PART_DEVELOPMENT] = {.name = "UseDevelopmentStorage"},                                    \
        [PART_PROXY] = {.name = "DevelopmentStorageProxyUri"},                                     \
    }

#define SETTING "AZURE_STORAGE_CONNECTION_STRING"

static bool refuse(struct error *err, const char *problem)
{
    return error_set(err, ERROR_CONFIG, SETTING ": %s", problem);
}

static bool check_name(const char *name, struct error *err)
{
    size_t length = strlen(name);

    if (length < 3 || length >= AZURE_ACCOUNT_NAME_SIZE ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789") != length) {
        return refuse(err, "AccountName is not 3 to 24 lower-case letters and digits");
    }
    return true;
}

/* The host with its port; *path is what follows it. False for what is no http(s) URL of a host. */
static bool split_endpoint(const char *endpoint, const char **host, size_t *host_length,
                           const char **path)
{
    if (strncasecmp(endpoint, "https://", 8) == 0) {
        *host = endpoint + 8;
    } else if (strncasecmp(endpoint, "http://", 7) == 0) {
        *host = endpoint + 7;
    } else {
        return false;
    }
    *host_length = strcspn(*host, "/");
    *path = *host + *host_length;
    return *host_length > 0;
}

static bool check_endpoint(const char *endpoint, struct error *err)
{
    const char *host = NULL;
    const char *path = NULL;
    size_t length = 0;

    if (!split_endpoint(endpoint, &host, &length, &path)) {
        return refuse(err, "BlobEndpoint is not a URL that starts with https:// (or http://)");
    }
    if (strpbrk(endpoint, "?#@\\ \"<>") != NULL || !text_is_printable_ascii(endpoint)) {
        return refuse(err, "BlobEndpoint holds more than a scheme, a host, a port and a path");
    }
    return true;
}

static bool name_from_endpoint(struct azure_account *account, struct error *err)
{
    const char *from = NULL;
    const char *path = NULL;
    size_t length = 0;

    if (!split_endpoint(account->endpoint, &from, &length, &path)) {
        return refuse(err, "BlobEndpoint names no host");
    }
    if (*path == '/') {
        from = strrchr(path, '/') + 1;
        length = strlen(from);
    } else {
        length = strcspn(from, ".:");
    }
    if (length >= AZURE_ACCOUNT_NAME_SIZE) {
        return refuse(err, "it has no AccountName, nor does BlobEndpoint tell the account's name");
    }
    memcpy(account->name, from, length);
    account->name[length] = '\0';
    return check_name(account->name, err);
}

static bool set_endpoint(struct azure_account *account, const struct connection_part *parts,
                         struct error *err)
{
    const char *protocol = parts[PART_PROTOCOL].value;
    const char *suffix = parts[PART_SUFFIX].value;
    struct text text = TEXT_INIT(1024);

    if (parts[PART_ENDPOINT].value != NULL) {
        text_append(&text, parts[PART_ENDPOINT].value);
    } else if (account->name[0] == '\0') {
        return refuse(err, "it has neither AccountName nor BlobEndpoint");
    } else {
        text_appendf(&text, "%s://%s.blob.%s", protocol != NULL ? protocol : "https", account->name,
                     suffix != NULL ? suffix : "core.windows.net");
    }
    if (text.failed) {
        text_clear(&text);
        return refuse(err, "BlobEndpoint or EndpointSuffix is too long");
    }
    while (text.length > 0 && text.data[text.length - 1] == '/') {
        text.data[--text.length] = '\0';
    }
    account->endpoint = text.data;
    return check_endpoint(account->endpoint, err);
}

static bool set_key(struct azure_account *account, const char *key, struct error *err)
{
    if (!base64_decode(key, account->key, sizeof(account->key), &account->key_size) ||
        account->key_size == 0) {
        account->key_size = 0;
        return refuse(err, "AccountKey is not base64; copy it whole, with the '=' at its end");
    }
    return true;
}

static bool set_sas(struct azure_account *account, const char *sas, struct error *err)
{
    if (*sas == '?') {
        sas++;
    }
    if (!text_is_printable_ascii(sas) || strpbrk(sas, " #?\"<>") != NULL ||
        (strncmp(sas, "sig=", 4) != 0 && strstr(sas, "&sig=") == NULL)) {
        return refuse(err, "SharedAccessSignature is not a query string with a field sig");
    }
    account->sas = text_copy(sas);
    return account->sas != NULL ? true : error_set_memory(err);
}

static bool set_development(struct azure_account *account, const struct connection_part *parts,
                            struct error *err)
{
    const char *proxy = parts[PART_PROXY].value;
    struct text text = TEXT_INIT(1024);

    if (strcasecmp(parts[PART_DEVELOPMENT].value, "true") != 0) {
        return refuse(err, "UseDevelopmentStorage can only be true");
    }
    text_appendf(&text, "%s:" DEVELOPMENT_PORT "/" DEVELOPMENT_NAME,
                 proxy != NULL ? proxy : DEVELOPMENT_HOST);
    account->endpoint = text.data;
    if (text.failed) {
        return refuse(err, "DevelopmentStorageProxyUri is too long");
    }
    snprintf(account->name, sizeof(account->name), "%s", DEVELOPMENT_NAME);
    return check_endpoint(account->endpoint, err) && set_key(account, DEVELOPMENT_KEY, err);
}

static bool build(struct azure_account *account, const struct connection_part *parts,
                  struct error *err)
{
    const char *protocol = parts[PART_PROTOCOL].value;
    const char *name = parts[PART_NAME].value;
    const char *key = parts[PART_KEY].value;
    const char *sas = parts[PART_SAS].value;

    if (parts[PART_DEVELOPMENT].value != NULL) {
        return set_development(account, parts, err);
    }
    if (protocol != NULL && strcasecmp(protocol, "https") != 0 &&
        strcasecmp(protocol, "http") != 0) {
        return refuse(err, "DefaultEndpointsProtocol is neither https nor http");
    }
    if (key != NULL && sas != NULL) {
        return refuse(err, "it has both AccountKey and SharedAccessSignature; remove one");
    }
    if (key != NULL && name == NULL) {
        return refuse(err, "it has an AccountKey but no AccountName");
    }
    if (name != NULL) {
        if (!check_name(name, err)) {
            return false;
        }
        snprintf(account->name, sizeof(account->name), "%s", name);
    }
    return set_endpoint(account, parts, err) &&
           (name != NULL || name_from_endpoint(account, err)) &&
           (key == NULL || set_key(account, key, err)) &&
           (sas == NULL || set_sas(account, sas, err));
}

bool azure_account_parse(const char *connection_string, struct azure_account *out,
                         struct error *err)
{
    struct azure_account account = {.key_size = 0};
    struct connection_part parts[PART_COUNT] = PARTS_INIT;

    if (strlen(connection_string) > CONNECTION_CAP) {
        return refuse(err, "it is too long to be one");
    }
    char *copy = text_copy(connection_string);
    if (copy == NULL) {
        return error_set_memory(err);
    }
    bool ok = connection_string_split(copy, SETTING, parts, PART_COUNT, err);
    redact_register(parts[PART_KEY].value);
    redact_register(parts[PART_SAS].value);
    ok = ok && build(&account, parts, err);
    if (ok) {
        redact_register(account.sas);
        *out = account;
    } else {
        azure_account_clear(&account);
    }
    explicit_bzero(copy, strlen(connection_string));
    free(copy);
    return ok;
}

bool azure_account_from_name(const char *name, size_t length, struct azure_account *out,
                             struct error *err)
{
    struct azure_account account = {.key_size = 0};
    struct connection_part parts[PART_COUNT] = PARTS_INIT;
    bool fits = length < sizeof(account.name);

    memcpy(account.name, name, fits ? length : 0);
    if (!fits || !check_name(account.name, err)) {
        return error_set(err, ERROR_CONFIG,
                         "'%.*s' is not the name of a storage account: 3 to 24 lower-case letters "
                         "and digits",
                         (int)length, name);
    }
    if (!set_endpoint(&account, parts, err)) {
        azure_account_clear(&account);
        return false;
    }
    *out = account;
    return true;
}

void azure_account_clear(struct azure_account *account)
{
    if (account->sas != NULL) {
        explicit_bzero(account->sas, strlen(account->sas));
    }
    free(account->sas);
    free(account->endpoint);
    explicit_bzero(account, sizeof(*account));
}

bool azure_account_sas_field(const struct azure_account *account, const char *name,
                             char out[AZURE_ACCOUNT_FIELD_SIZE])
{
    size_t name_length = strlen(name);

    out[0] = '\0';
    for (const char *at = account->sas; at != NULL; at = strchr(at, '&')) {
        at += *at == '&';
        if (strncmp(at, name, name_length) == 0 && at[name_length] == '=') {
            const char *value = at + name_length + 1;
            struct text plain = TEXT_INIT(AZURE_ACCOUNT_FIELD_SIZE - 1);
            bool ok = http_append_decoded(&plain, value, strcspn(value, "&"));
            snprintf(out, AZURE_ACCOUNT_FIELD_SIZE, "%s", ok ? text_string(&plain) : "");
            text_clear(&plain);
            return ok;
        }
    }
    return false;
}

bool azure_account_check_container(const char *name, struct error *err)
{
    size_t length = strlen(name);

    if (length < 3 || length > 63 ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != length || name[0] == '-' ||
        name[length - 1] == '-' || strstr(name, "--") != NULL) {
        return error_set(err, ERROR_CONFIG,
                         "'%s' is not the name of an Azure container: 3 to 63 lower-case letters, "
                         "digits and single hyphens, beginning and ending with a letter or digit",
                         name);
    }
    return true;
}
