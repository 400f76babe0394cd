/*
 * Azure: signatures, connection strings, names, lists and refusals, as the service writes them and
 * as nobody should. What needs a service is in tests/integration.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/redact.h"
#include "base/text.h"
#include "store/azure/azure_account.h"
#include "store/azure/azure_commit.h"
#include "store/azure/azure_list.h"
#include "store/azure/azure_object.h"
#include "store/azure/azure_request.h"
#include "store/azure/azure_sas.h"
#include "store/azure/azure_sign.h"
#include "store/azure/azure_store.h"
#include "store/backup_object.h"
#include "store/object_reply.h"
#include "store/xml.h"

/* The emulator's key, which is published. */
#define KEY                                                                                        \
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
#define EMULATOR                                                                                   \
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=" KEY                   \
    ";BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;"
#define SAS "sv=2021-12-02&se=2030-01-01T00%3A00%3A00Z&sp=racwdl&srt=co&sig=c2VjcmV0%2Bc2ln%3D"

static struct azure_account account_of(const char *connection_string)
{
    struct azure_account account;
    struct error err = ERROR_INIT;

    if (!azure_account_parse(connection_string, &account, &err)) {
        fail_msg("%s", err.text);
    }
    return account;
}

static void add(struct http_request *request, const char *name, const char *value)
{
    struct error err = ERROR_INIT;

    assert_true(http_request_add(request, name, value, &err));
}

static void assert_signed(const struct http_request *request, const char *string,
                          const char *signature)
{
    struct azure_account account = account_of(EMULATOR);
    struct text text = TEXT_INIT(4096);
    char value[AZURE_SIGN_SIZE];
    char expected[AZURE_SIGN_SIZE];
    struct error err = ERROR_INIT;

    assert_true(azure_sign_string(&account, request, &text, &err));
    assert_string_equal(text_string(&text), string);
    assert_true(azure_sign(&account, request, value, &err));
    snprintf(expected, sizeof(expected), "SharedKey devstoreaccount1:%s", signature);
    assert_string_equal(value, expected);
    text_clear(&text);
    azure_account_clear(&account);
}

static void signature_of_making_a_container(void **state)
{
    struct http_request request = {
        .method = "PUT",
        .url = "http://127.0.0.1:10000/devstoreaccount1/backups?restype=container"};

    (void)state;
    add(&request, "x-ms-version", "2021-12-02");
    add(&request, "x-ms-date", "Fri, 01 May 2026 12:00:00 GMT");
    assert_signed(&request,
                  "PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 01 May 2026 12:00:00 GMT\n"
                  "x-ms-version:2021-12-02\n/devstoreaccount1/devstoreaccount1/backups\n"
                  "restype:container",
                  "wsJv3GrHWljgc5FZwaSlS5a8fAdPJEb3+B7GNrtAago=");
}

static void signature_of_a_block(void **state)
{
    struct http_request request = {
        .method = "PUT",
        .url = "http://127.0.0.1:10000/devstoreaccount1/backups/a%20b.dump?comp=block&blockid="
               "MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAx",
        .body = "hello",
        .body_size = 5};

    (void)state;
    add(&request, "x-ms-date", "Fri, 01 May 2026 12:00:00 GMT");
    add(&request, "Content-MD5", "XUFAKrxLKna5cZ2REBfFkg==");
    add(&request, "x-ms-version", "2021-12-02");
    add(&request, "X-Ms-Client-Request-Id", "11111111-2222-3333-4444-555555555555");
    assert_signed(&request,
                  "PUT\n\n\n5\nXUFAKrxLKna5cZ2REBfFkg==\n\n\n\n\n\n\n\n"
                  "x-ms-client-request-id:11111111-2222-3333-4444-555555555555\n"
                  "x-ms-date:Fri, 01 May 2026 12:00:00 GMT\nx-ms-version:2021-12-02\n"
                  "/devstoreaccount1/devstoreaccount1/backups/a%20b.dump\n"
                  "blockid:MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAx\ncomp:block",
                  "41R93TA+SJh5vYpWYVh0OcJOheEEa23JrcApnVN5X2s=");
}

/* Values are signed decoded and with single spaces, names sorted and in lower case. */
static void what_is_signed_is_canonical(void **state)
{
    struct azure_account account = account_of(EMULATOR);
    struct http_request request = {
        .method = "GET",
        .url = "https://a.example/c?prefix=x%2Fy%20z&comp=list&Marker=&maxresults=5"};
    struct text text = TEXT_INIT(4096);
    struct error err = ERROR_INIT;

    (void)state;
    add(&request, "x-ms-meta-b", "  two   words ");
    add(&request, "x-ms-meta-a", "");
    add(&request, "If-Match", "\"0x1\"");
    add(&request, "Content-Type", "application/xml");
    assert_true(azure_sign_string(&account, &request, &text, &err));
    assert_string_equal(text_string(&text),
                        "GET\n\n\n\n\napplication/xml\n\n\n\"0x1\"\n\n\n\nx-ms-meta-a:\n"
                        "x-ms-meta-b:two words\n/devstoreaccount1/c\ncomp:list\nmarker:\n"
                        "maxresults:5\nprefix:x/y z");
    text_clear(&text);
    azure_account_clear(&account);
}

static void connection_strings_that_are_good(void **state)
{
    static const struct {
        const char *string;
        const char *name;
        const char *endpoint;
        bool has_key;
    } cases[] = {
        {EMULATOR, "devstoreaccount1", "http://127.0.0.1:10000/devstoreaccount1", true},
        {"UseDevelopmentStorage=true", "devstoreaccount1",
         "http://127.0.0.1:10000/devstoreaccount1", true},
        {"usedevelopmentstorage=TRUE;DevelopmentStorageProxyUri=http://emulator;",
         "devstoreaccount1", "http://emulator:10000/devstoreaccount1", true},
        {"AccountName=rythm;AccountKey=" KEY, "rythm", "https://rythm.blob.core.windows.net", true},
        {" accountname = rythm ; ; ACCOUNTKEY=" KEY ";EndpointSuffix=core.usgovcloudapi.net;",
         "rythm", "https://rythm.blob.core.usgovcloudapi.net", true},
        {"DefaultEndpointsProtocol=http;AccountName=rythm;AccountKey=" KEY
         ";QueueEndpoint=https://q.example;Unknown=1",
         "rythm", "http://rythm.blob.core.windows.net", true},
        {"BlobEndpoint=https://rythm.blob.core.windows.net/;SharedAccessSignature=?" SAS, "rythm",
         "https://rythm.blob.core.windows.net", false},
        {"AccountName=rythm;SharedAccessSignature=" SAS, "rythm",
         "https://rythm.blob.core.windows.net", false},
        {"BlobEndpoint=http://127.0.0.1:10000/other1//;SharedAccessSignature=" SAS, "other1",
         "http://127.0.0.1:10000/other1", false},
        {"AccountName=rythm", "rythm", "https://rythm.blob.core.windows.net", false},
        {"BlobEndpoint=https://rythm.blob.core.chinacloudapi.cn", "rythm",
         "https://rythm.blob.core.chinacloudapi.cn", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct azure_account account = account_of(cases[i].string);
        assert_string_equal(account.name, cases[i].name);
        assert_string_equal(account.endpoint, cases[i].endpoint);
        assert_int_equal(account.key_size, cases[i].has_key ? 64 : 0);
        if (strstr(cases[i].string, SAS) != NULL) {
            assert_string_equal(account.sas, SAS);
        } else {
            assert_null(account.sas);
        }
        azure_account_clear(&account);
    }
}

static void connection_strings_that_are_not(void **state)
{
    static const struct {
        const char *string;
        const char *text; /* what the error must speak of */
    } cases[] = {
        {"", "neither AccountName nor BlobEndpoint"},
        {"AccountName=Rythm", "AccountName is not"},
        {"AccountKey=" KEY, "no AccountName"},
        {"AccountName=rythm;AccountKey=" KEY ";SharedAccessSignature=" SAS, "both"},
        {"AccountName=rythm;AccountKey=" KEY ";AccountKey=" KEY, "twice"},
        {"AccountName=rythm;AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1O", "not base64"},
        {"AccountName=Rythm;AccountKey=" KEY, "AccountName is not"},
        {"AccountName=ry;AccountKey=" KEY, "AccountName is not"},
        {"AccountName=a/../b;AccountKey=" KEY, "AccountName is not"},
        {"AccountName=rythm;Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUz", "not of the form Name=value"},
        {"DefaultEndpointsProtocol=ftp;AccountName=rythm;AccountKey=" KEY,
         "neither https nor http"},
        {"BlobEndpoint=rythm.example;AccountName=rythm;AccountKey=" KEY, "BlobEndpoint"},
        {"BlobEndpoint=file:///x;AccountName=rythm;AccountKey=" KEY, "BlobEndpoint"},
        {"BlobEndpoint=https://u:pass@h;AccountName=rythm;AccountKey=" KEY, "BlobEndpoint"},
        {"BlobEndpoint=https://h/?a=b;AccountName=rythm;AccountKey=" KEY, "BlobEndpoint"},
        {"BlobEndpoint=https://;AccountName=rythm;AccountKey=" KEY, "BlobEndpoint"},
        {"SharedAccessSignature=" SAS, "neither AccountName nor BlobEndpoint"},
        {"AccountName=rythm;SharedAccessSignature=sv=1&se=2", "SharedAccessSignature"},
        {"AccountName=rythm;SharedAccessSignature=" SAS "\r\nx: y", "SharedAccessSignature"},
        {"BlobEndpoint=https://host-name.example;SharedAccessSignature=" SAS, "AccountName"},
        {"UseDevelopmentStorage=yes", "UseDevelopmentStorage"},
    };

    (void)state;
    redact_clear();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct azure_account account;
        struct error err = ERROR_INIT;
        assert_false(azure_account_parse(cases[i].string, &account, &err));
        assert_int_equal(err.kind, ERROR_CONFIG);
        if (strstr(err.text, cases[i].text) == NULL) {
            fail_msg("case %zu: %s", i, err.text);
        }
        assert_null(strstr(err.text, "Eby8"));
        assert_null(strstr(err.text, "c2VjcmV0"));
        assert_null(strstr(err.text, "pass"));
    }
}

static void key_and_signature_are_masked_everywhere(void **state)
{
    struct azure_account with_key = account_of("AccountName=rythm;AccountKey=" KEY);
    struct azure_account with_sas = account_of("AccountName=rythm;SharedAccessSignature=?" SAS);
    struct error err = ERROR_INIT;

    (void)state;
    error_set(&err, ERROR_FAILED, "something said %s and https://h/c?x=1&%s", KEY, SAS);
    assert_null(strstr(err.text, "Eby8"));
    assert_null(strstr(err.text, "c2VjcmV0"));
    azure_account_clear(&with_key);
    azure_account_clear(&with_sas);
}

static void fields_of_a_shared_access_signature(void **state)
{
    struct azure_account account = account_of("AccountName=rythm;SharedAccessSignature=" SAS);
    char value[AZURE_ACCOUNT_FIELD_SIZE];

    (void)state;
    assert_true(azure_account_sas_field(&account, "sp", value));
    assert_string_equal(value, "racwdl");
    assert_true(azure_account_sas_field(&account, "sv", value));
    assert_string_equal(value, "2021-12-02");
    assert_true(azure_account_sas_field(&account, "se", value));
    assert_string_equal(value, "2030-01-01T00:00:00Z");
    assert_false(azure_account_sas_field(&account, "p", value));
    assert_string_equal(value, "");
    azure_account_clear(&account);
    account = account_of("UseDevelopmentStorage=true");
    assert_false(azure_account_sas_field(&account, "sp", value));
    azure_account_clear(&account);
}

static void container_names(void **state)
{
    static const char *const good[] = {"abc", "database-backups", "1-2-3", "0a0"};
    static const char *const bad[] = {"",    "ab",   "-abc", "abc-",  "a--b", "Abc",
                                      "a_b", "a.bc", "a/bc", "$root", "a b"};
    char name[65];
    struct error err = ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(azure_account_check_container(good[i], &err));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(azure_account_check_container(bad[i], &err));
        assert_int_equal(err.kind, ERROR_CONFIG);
    }
    memset(name, 'a', 64);
    name[64] = '\0';
    assert_false(azure_account_check_container(name, &err));
    name[63] = '\0';
    assert_true(azure_account_check_container(name, &err));
}

static struct settings settings_with(const char *connection_string)
{
    struct settings settings = {.values = {NULL}};

    settings.values[SETTING_AZURE_CONNECTION_STRING] = text_copy(connection_string);
    return settings;
}

static bool open_place(const char *place, const struct settings *settings, struct store **out,
                       struct error *err)
{
    char url[256];

    snprintf(url, sizeof(url), "azblob://%s", place);
    return store_open(url, settings, out, err);
}

static void store_urls_that_are_good(void **state)
{
    static const struct {
        const char *url;
        const char *location;
    } cases[] = {
        {"devstoreaccount1/backups", "azblob://devstoreaccount1/backups"},
        {"/backups", "azblob://devstoreaccount1/backups"},
        {"devstoreaccount1/backups/", "azblob://devstoreaccount1/backups"},
        {"devstoreaccount1/backups/a/b.c", "azblob://devstoreaccount1/backups/a/b.c/"},
        {"devstoreaccount1/backups/a/b/", "azblob://devstoreaccount1/backups/a/b/"},
    };
    struct settings settings = settings_with(EMULATOR);

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct store *store = NULL;
        struct error err = ERROR_INIT;
        assert_true(open_place(cases[i].url, &settings, &store, &err));
        assert_string_equal(store->location, cases[i].location);
        assert_int_equal(store->block_limits.most_blocks, 50000);
        store->ops->close(store);
    }
    settings_clear(&settings);
}

static void store_urls_that_are_not(void **state)
{
    static const char *const urls[] = {
        "",
        "devstoreaccount1",
        "devstoreaccount1/",
        "devstoreaccount1/ab",
        "another/backups",
        "devstoreaccount/backups",
        "devstoreaccount1/backups//a",
        "devstoreaccount1/backups/a//b",
        "devstoreaccount1/backups/../b",
        "devstoreaccount1/backups/a/./b",
        "devstoreaccount1/backups/a?b",
        "devstoreaccount1/backups/a%20b",
        "devstoreaccount1/backups/caf\xc3\xa9",
    };
    struct settings settings = settings_with(EMULATOR);
    struct settings none = {.values = {NULL}};
    struct store *store = NULL;
    struct error err = ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        if (open_place(urls[i], &settings, &store, &err)) {
            fail_msg("'%s' was opened", urls[i]);
        }
        assert_int_equal(err.kind, ERROR_CONFIG);
        assert_null(strstr(err.text, "Eby8"));
    }
    assert_false(open_place("/backups", &none, &store, &err));
    assert_non_null(strstr(err.text, "AZURE_STORAGE_CONNECTION_STRING"));
    settings_clear(&settings);
}

/* Who names an account and has no key for it has an identity. */
static void account_without_a_key(void **state)
{
    struct settings none = {.values = {NULL}};
    struct settings plain = settings_with("BlobEndpoint=http://storage.example.org/rythm");
    struct store *store = NULL;
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(open_place("rythm/backups", &none, &store, &err));
    assert_string_equal(store->location, "azblob://rythm/backups");
    store->ops->close(store);
    assert_false(open_place("Rythm/backups", &none, &store, &err));
    assert_non_null(strstr(err.text, "'Rythm' is not the name of a storage account"));
    none.values[SETTING_IDENTITY_ENDPOINT] = text_copy("http://localhost/");
    assert_false(open_place("rythm/backups", &none, &store, &err));
    assert_non_null(strstr(err.text, "no identity: IDENTITY_ENDPOINT is set, but"));
    assert_false(open_place("rythm/backups", &plain, &store, &err));
    assert_non_null(strstr(err.text, "not https"));
    settings_clear(&none);
    settings_clear(&plain);
}

static void ends_of_signatures(void **state)
{
    struct azure_account account = account_of("AccountName=rythm;SharedAccessSignature=" SAS);
    int64_t end_ms = 0;
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(clock_parse_iso("2030-01-01", &end_ms));
    assert_true(azure_sas_check(&account, false, end_ms - 1, &err));
    assert_false(azure_sas_check(&account, false, end_ms, &err));
    assert_int_equal(err.kind, ERROR_CONFIG);
    assert_non_null(strstr(err.text, "account rythm has ended (se=2030-01-01T00:00:00Z)"));
    assert_false(azure_sas_check(&account, true, 0, &err));
    assert_non_null(strstr(err.text, "needs r, w, l and i"));
    azure_account_clear(&account);
    /* That of a stored access policy does not say. */
    account = account_of("AccountName=rythm;SharedAccessSignature=sv=1&si=policy&sig=x");
    assert_true(azure_sas_check(&account, false, end_ms, &err));
    azure_account_clear(&account);
}

#define PLACE          "devstoreaccount1/backups"
#define ENCRYPTION_KEY "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static void store_options_that_are_good(void **state)
{
    static const char *const options[] = {
        "",
        "?tier=hot",
        "?tier=cool&immutability=locked",
        "?tier=cold&encryption-scope=scope-1",
        "?immutability=unlocked&required=false",
    };
    struct settings settings = settings_with(EMULATOR);
    char place[128];

    (void)state;
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        struct store *store = NULL;
        struct error err = ERROR_INIT;
        snprintf(place, sizeof(place), PLACE "%s", options[i]);
        if (!open_place(place, &settings, &store, &err)) {
            fail_msg("%s", err.text);
        }
        /* They are not part of what the ledger has. */
        assert_string_equal(store->location, "azblob://" PLACE);
        store->ops->close(store);
    }
    settings_clear(&settings);
}

static void assert_not_opened(const char *place, const struct settings *settings, const char *text)
{
    struct store *store = NULL;
    struct error err = ERROR_INIT;

    if (open_place(place, settings, &store, &err)) {
        fail_msg("'%s' was opened", place);
    }
    assert_int_equal(err.kind, ERROR_CONFIG);
    if (strstr(err.text, text) == NULL) {
        fail_msg("'%s' is not in: %s", text, err.text);
    }
}

static void store_options_that_are_not(void **state)
{
    static const struct {
        const char *option;
        const char *text;
    } cases[] = {
        {"tier=Cool", "must be hot, cool or cold"},
        {"tier=", "must be hot, cool or cold"},
        {"tier=archive", "rehydrated"},
        {"immutability=yes", "must be unlocked"},
        {"encryption-scope=ab", "3 to 63 letters"},
        {"encryption-scope=a%0d%0ab", "3 to 63 letters"},
        {"encryption-scope=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "3 to"},
        {"mode=0640", "has no option 'mode'"},
    };
    struct settings settings = settings_with(EMULATOR);
    struct error err = ERROR_INIT;
    char place[128];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(place, sizeof(place), PLACE "?%s", cases[i].option);
        assert_not_opened(place, &settings, cases[i].text);
        snprintf(place, sizeof(place), "azblob://" PLACE "?%s", cases[i].option);
        assert_false(store_check(place, &err));
    }
    settings_clear(&settings);
}

static void customer_provided_key(void **state)
{
    static const char *const bad[] = {"AAECAw==", "no base64", ENCRYPTION_KEY "AAAA"};
    struct settings settings = settings_with(EMULATOR);
    struct store *store = NULL;
    struct error err = ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        free(settings.values[SETTING_AZURE_ENCRYPTION_KEY]);
        settings.values[SETTING_AZURE_ENCRYPTION_KEY] = text_copy(bad[i]);
        assert_not_opened(PLACE, &settings, "AZURE_BACKUP_ENCRYPTION_KEY is not 32 bytes");
    }
    free(settings.values[SETTING_AZURE_ENCRYPTION_KEY]);
    settings.values[SETTING_AZURE_ENCRYPTION_KEY] = text_copy(ENCRYPTION_KEY);
    assert_not_opened(PLACE "?encryption-scope=abc", &settings, "exclude each other");
    assert_true(open_place(PLACE, &settings, &store, &err));
    store->ops->close(store);
    settings_clear(&settings);

    settings = settings_with("AccountName=rythm;AccountKey=" KEY
                             ";BlobEndpoint=http://storage.example.org");
    settings.values[SETTING_AZURE_ENCRYPTION_KEY] = text_copy(ENCRYPTION_KEY);
    assert_not_opened("rythm/backups", &settings, "not https");
    settings_clear(&settings);
    redact_clear();
}

static const struct azure_list everything = {
    .folder = "", .prefix = "", .page_blobs = AZURE_LIST_PAGE_BLOBS};

#define PAGE(blobs, marker)                                                                        \
    "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ServiceEndpoint=\"x\" "         \
    "ContainerName=\"c\"><Prefix/><Marker/><MaxResults>2</MaxResults><Delimiter/><Blobs>" blobs    \
    "</Blobs>" marker "</EnumerationResults>"
#define BLOB(name, more)                                                                           \
    "<Blob>" name "<Properties><Creation-Time>x</Creation-Time>"                                   \
    "<Last-Modified>Fri, 01 May 2026 12:00:00 GMT</Last-Modified><Etag>0x8D</Etag>"                \
    "<Content-Length>5</Content-Length></Properties>" more "</Blob>"

static void page_of_a_list(void **state)
{
    static const char page[] = "\xef\xbb\xbf" PAGE(
        BLOB("<Name>p/a &amp; b</Name>", "<Metadata><RUN>abc</RUN><sha256>12</sha256></Metadata>")
            BLOB("<Name Encoded=\"true\">p/c%EF%BF%BEd</Name>", "<Metadata/>")
                BLOB("<Name>p/plain%41</Name>", ""),
        "<NextMarker>2!88!x/y==</NextMarker>");
    const struct azure_list list = {.folder = "p/", .prefix = "", .page_blobs = 3};
    struct objects objects = OBJECTS_INIT;
    struct text marker = TEXT_INIT(1024);
    struct error err = ERROR_INIT;

    (void)state;
    if (!azure_list_parse(&list, page, sizeof(page) - 1, &objects, &marker, &err)) {
        fail_msg("%s", err.text);
    }
    assert_string_equal(text_string(&marker), "2!88!x/y==");
    assert_int_equal(objects.count, 3);
    assert_string_equal(objects.items[0].name, "a & b");
    assert_string_equal(objects.items[0].etag, "\"0x8D\"");
    assert_int_equal(objects.items[0].bytes, 5);
    assert_int_equal(objects.items[0].modified_ms, INT64_C(1777636800000));
    assert_string_equal(metadata_get(&objects.items[0].metadata, "run"), "abc");
    assert_string_equal(metadata_get(&objects.items[0].metadata, "sha256"), "12");
    assert_string_equal(objects.items[1].name, "c\xef\xbf\xbe"
                                               "d");
    assert_int_equal(objects.items[1].metadata.count, 0);
    assert_string_equal(objects.items[2].name, "plain%41");
    objects_clear(&objects);
    text_clear(&marker);
}

static void last_page_and_empty_page(void **state)
{
    static const char *const pages[] = {PAGE("", "<NextMarker/>"), PAGE("", "<NextMarker />"),
                                        PAGE("", "<NextMarker></NextMarker>")};
    struct objects objects = OBJECTS_INIT;
    struct text marker = TEXT_INIT(1024);
    struct error err = ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        text_append(&marker, "old");
        assert_true(
            azure_list_parse(&everything, pages[i], strlen(pages[i]), &objects, &marker, &err));
        assert_int_equal(marker.length, 0);
    }
    assert_int_equal(objects.count, 0);
    text_clear(&marker);
}

static void what_is_not_the_blob_itself_is_passed_over(void **state)
{
    static const char page[] = PAGE(BLOB("<Name>a</Name><Snapshot>2026</Snapshot>",
                                         "") BLOB("<Name>b</Name><Deleted>true</Deleted>", "")
                                        BLOB("<Name>c</Name><IsCurrentVersion>false"
                                             "</IsCurrentVersion>",
                                             "") BLOB("<Name>d</Name><VersionId>1</VersionId>"
                                                      "<IsCurrentVersion>true</IsCurrentVersion>",
                                                      ""),
                                    "<NextMarker/>");
    struct objects objects = OBJECTS_INIT;
    struct text marker = TEXT_INIT(1024);
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(azure_list_parse(&everything, page, sizeof(page) - 1, &objects, &marker, &err));
    assert_int_equal(objects.count, 1);
    assert_string_equal(objects.items[0].name, "d");
    objects_clear(&objects);
    text_clear(&marker);
}

/* Another program's metadata must not make a container impossible to list. */
static void metadata_of_others_are_passed_over(void **state)
{
    static const char page[] = PAGE(
        BLOB("<Name>a</Name>", "<Metadata><hdi_isfolder>true</hdi_isfolder><A1>caf\xc3\xa9</A1>"
                               "<b2> padded </b2><run>r</run></Metadata>"),
        "<NextMarker/>");
    struct objects objects = OBJECTS_INIT;
    struct text marker = TEXT_INIT(1024);
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(azure_list_parse(&everything, page, sizeof(page) - 1, &objects, &marker, &err));
    /* But an object that has some is not one without any. */
    assert_int_equal(objects.items[0].metadata.count, 2);
    assert_string_equal(metadata_get(&objects.items[0].metadata, "foreign"), "yes");
    assert_string_equal(metadata_get(&objects.items[0].metadata, "run"), "r");
    objects_clear(&objects);
    text_clear(&marker);
}

/* What only a key can read is nobody's until it is asked for. */
static void encrypted_metadata_are_noted(void **state)
{
    static const char page[] =
        PAGE(BLOB("<Name>rythm-backup-a.sql</Name>", "<Metadata Encrypted=\"true\" />"),
             "<NextMarker/>");
    struct objects objects = OBJECTS_INIT;
    struct text marker = TEXT_INIT(1024);
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(azure_list_parse(&everything, page, sizeof(page) - 1, &objects, &marker, &err));
    assert_int_equal(objects.items[0].metadata.count, 1);
    assert_string_equal(metadata_get(&objects.items[0].metadata, "encrypted"), "yes");
    objects_clear(&objects);
    text_clear(&marker);
}

#define PROPERTIES "<Properties><Etag>1</Etag><Content-Length>5</Content-Length></Properties>"

/* Each of these would be a list that is short, or an object that cannot be trusted (I6). */
static void list_that_is_odd_fails(void **state)
{
    static const struct {
        const char *page;
        const char *text;
    } cases[] = {
        {"", "XML"},
        {"not xml", "XML"},
        {"<EnumerationResults><Blobs><Blob>", "XML"},
        {"<Error><Code>x</Code></Error>", "not a list"},
        {"<EnumerationResults><NextMarker/></EnumerationResults>", "not a list"},
        {PAGE(BLOB("<Name>a</Name>", ""), ""), "whether there is more"},
        {PAGE("", "<NextMarker><x/></NextMarker>"), "whether there is more"},
        {PAGE(BLOB("", ""), "<NextMarker/>"), "Name"},
        {PAGE(BLOB("<Name/>", ""), "<NextMarker/>"), "Name"},
        {PAGE(BLOB("<Name Encoded=\"true\">a%0</Name>", ""), "<NextMarker/>"), "Name"},
        {PAGE(BLOB("<Name Encoded=\"true\">a%00b</Name>", ""), "<NextMarker/>"), "Name"},
        {PAGE("<Blob><Name>a</Name></Blob>", "<NextMarker/>"), "Content-Length"},
        {PAGE("<Blob><Name>a</Name><Properties><Etag>1</Etag></Properties></Blob>",
              "<NextMarker/>"),
         "Content-Length"},
        {PAGE("<Blob><Name>a</Name><Properties><Etag>1</Etag><Content-Length>-5</Content-Length>"
              "</Properties></Blob>",
              "<NextMarker/>"),
         "Content-Length"},
        {PAGE("<Blob><Name>a</Name><Properties><Content-Length>5</Content-Length></Properties>"
              "</Blob>",
              "<NextMarker/>"),
         "etag"},
        {PAGE("<Blob><Name>a</Name><Properties><Etag>1</Etag><Content-Length>5</Content-Length>"
              "<Last-Modified>yesterday</Last-Modified></Properties></Blob>",
              "<NextMarker/>"),
         "Last-Modified"},
        {PAGE("<BlobPrefix><Name>a/</Name></BlobPrefix>", "<NextMarker/>"), "BlobPrefix"},
        {PAGE("<Blob><Name>a</Name>" PROPERTIES "<Metadata><x><y/></x></Metadata></Blob>",
              "<NextMarker/>"),
         "metadata"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct objects objects = OBJECTS_INIT;
        struct text marker = TEXT_INIT(1024);
        struct error err = ERROR_INIT;
        if (azure_list_parse(&everything, cases[i].page, strlen(cases[i].page), &objects, &marker,
                             &err)) {
            fail_msg("case %zu was accepted", i);
        }
        if (strstr(err.text, cases[i].text) == NULL) {
            fail_msg("case %zu: %s", i, err.text);
        }
        objects_clear(&objects);
        text_clear(&marker);
    }
}

static void blob_outside_the_prefix_fails_the_list(void **state)
{
    static const char page[] = PAGE(BLOB("<Name>p/rythm-1</Name>", ""), "<NextMarker/>");
    static const struct azure_list lists[] = {{.folder = "q/", .prefix = ""},
                                              {.folder = "p/", .prefix = "other-"},
                                              {.folder = "p/rythm-1/", .prefix = "x"}};
    struct objects objects = OBJECTS_INIT;
    struct text marker = TEXT_INIT(1024);
    struct error err = ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        assert_false(azure_list_parse(&lists[i], page, sizeof(page) - 1, &objects, &marker, &err));
        assert_non_null(strstr(err.text, "prefix"));
    }
    objects_clear(&objects);
    text_clear(&marker);
}

static void documents_with_a_type_are_refused(void **state)
{
    static const char bomb[] =
        "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">"
        "<!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;\"><!ENTITY d \"&c;&c;&c;&c;&c;&c;&c;&c;\">]>"
        "<EnumerationResults><Blobs/><NextMarker>&d;</NextMarker></EnumerationResults>";
    static const char *const documents[] = {
        bomb,
        "<!DOCTYPE x SYSTEM \"file:///dev/null\"><x/>",
        "<!DOCTYPE x><x/>",
        "<!DOCTYPE x [<!ENTITY e SYSTEM \"http://127.0.0.1:1/\">]><x>&e;</x>",
        "<!DOCTYPE x [",
    };
    struct error err = ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
        assert_null(xml_parse(documents[i], strlen(documents[i]), &err));
        assert_non_null(strstr(err.text, "document type"));
    }
    /* In UTF-16 no search for the text would find it. */
    char wide[512];
    size_t size = 0;
    for (const char *c = documents[2]; *c != '\0'; c++) {
        wide[size++] = *c;
        wide[size++] = '\0';
    }
    assert_null(xml_parse(wide, size, &err));
    assert_null(xml_parse("<x>&unknown;</x>", 16, &err));
}

static void xml_that_is_too_much_is_refused(void **state)
{
    struct text deep = TEXT_INIT(1 << 20);
    struct error err = ERROR_INIT;

    (void)state;
    for (int i = 0; i < 5000; i++) {
        text_append(&deep, "<a>");
    }
    for (int i = 0; i < 5000; i++) {
        text_append(&deep, "</a>");
    }
    assert_null(xml_parse(deep.data, deep.length, &err));
    assert_null(xml_parse(deep.data, XML_CAP + 1, &err));
    assert_non_null(strstr(err.text, "longer than"));
    text_clear(&deep);
}

static void text_of_xml_elements(void **state)
{
    static const char document[] = "<r xmlns:n=\"urn:x\"><n:a>1<!-- c -->&lt;<![CDATA[<2>]]></n:a>"
                                   "<b/><a>second</a><c><d/></c></r>";
    struct text text = TEXT_INIT(16);
    struct error err = ERROR_INIT;
    struct xml *xml = xml_parse(document, sizeof(document) - 1, &err);

    (void)state;
    assert_non_null(xml);
    const struct xml_node *root = xml_root(xml);
    assert_string_equal(xml_name(root), "r");
    assert_true(xml_child_text(root, "a", &text));
    assert_string_equal(text_string(&text), "1<<2>");
    assert_true(xml_text(xml_next(xml_first(root, "a"), "a"), &text));
    assert_string_equal(text_string(&text), "second");
    assert_true(xml_child_text(root, "b", &text));
    assert_string_equal(text_string(&text), "");
    assert_false(xml_child_text(root, "c", &text));
    assert_false(xml_child_text(root, "z", &text));
    assert_null(xml_first(NULL, "a"));
    assert_null(xml_next(NULL, NULL));
    xml_free(xml);
    xml_free(NULL);
    text_clear(&text);
}

static void assert_refusal(const char *connection, int status, const char *headers,
                           const char *body, const char *const expected[])
{
    struct azure_account account = account_of(connection);
    const struct azure_session session = {.account = &account, .container = "backups"};
    struct http_reply reply = HTTP_REPLY_INIT(64 * 1024);
    struct error err = ERROR_INIT;

    reply.status = status;
    text_append(&reply.headers, headers);
    text_append(&reply.body, body);
    assert_false(azure_request_refuse(&session, &reply, &err));
    for (size_t i = 0; expected[i] != NULL; i++) {
        if (strstr(err.text, expected[i]) == NULL) {
            fail_msg("'%s' is not in: %s", expected[i], err.text);
        }
    }
    assert_null(strstr(err.text, "c2VjcmV0"));
    assert_null(strstr(err.text, "Eby8"));
    http_reply_clear(&reply);
    azure_account_clear(&account);
}

static void refusals_say_what_and_why_and_what_to_do(void **state)
{
    static const char error_body[] =
        "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>ContainerNotFound"
        "</Code><Message>The specified container does not exist.\nRequestId:abc\nTime:2026"
        "</Message></Error>";

    (void)state;
    assert_refusal(EMULATOR, 404, "HTTP/1.1 404 x\r\nx-ms-request-id: r-1\r\n\r\n", error_body,
                   (const char *const[]){"404 ContainerNotFound: The specified container does not "
                                         "exist.; request id r-1; check the container's name",
                                         NULL});
    assert_refusal(EMULATOR, 409, "HTTP/1.1 409 x\r\nx-ms-error-code: BlobArchived\r\n\r\n", "",
                   (const char *const[]){"409 BlobArchived", NULL});
    assert_refusal(EMULATOR, 409,
                   "HTTP/1.1 409 x\r\n"
                   "x-ms-error-code: BlobUsesCustomerSpecifiedEncryption\r\n\r\n",
                   "", (const char *const[]){"AZURE_BACKUP_ENCRYPTION_KEY must be", NULL});
    assert_refusal(EMULATOR, 403,
                   "HTTP/1.1 403 x\r\nx-ms-error-code: AuthenticationFailed\r\n"
                   "Date: Fri, 01 May 2020 12:00:00 GMT\r\n\r\n",
                   "", (const char *const[]){"AccountKey", "ahead of the service's", NULL});
    assert_refusal(
        "AccountName=rythm;SharedAccessSignature=" SAS, 403,
        "HTTP/1.1 403 x\r\nx-ms-error-code: AuthorizationPermissionMismatch\r\n\r\n",
        "<Error><Message>sig=c2VjcmV0%2Bc2ln%3D is wrong</Message></Error>",
        (const char *const[]){"AuthorizationPermissionMismatch", "sp=racwdl", "se=2030", NULL});
    assert_refusal(EMULATOR, 502, "HTTP/1.1 502 x\r\n\r\n", "<html>Bad gateway",
                   (const char *const[]){"the service answered 502", NULL});
    assert_refusal(EMULATOR, 302, "HTTP/1.1 302 x\r\n\r\n", "",
                   (const char *const[]){"redirects are not followed", NULL});
}

static void block_ids_have_one_length_and_sort_by_index(void **state)
{
    static const char alphanumeric[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                       "0123456789";
    char id[AZURE_COMMIT_ID_SIZE];

    (void)state;
    azure_commit_format_id(id, "0000000000000000", 1);
    assert_string_equal(id, "MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAx");
    azure_commit_format_id(id, "0123456789abcdef", 49999);
    assert_string_equal(id, "MDEyMzQ1Njc4OWFiY2RlZjAwMDBjMzRm");
    azure_commit_format_id(id, "ffffffffffffffff", UINT32_MAX);
    assert_int_equal(strlen(id), 32);
    assert_int_equal(strspn(id, alphanumeric), 32);
}

static void media_types(void **state)
{
    (void)state;
    assert_string_equal(backup_object_media_type("x.sql.zst"), "application/zstd");
    assert_string_equal(backup_object_media_type("x.sql.gz"), "application/gzip");
    assert_string_equal(backup_object_media_type("x.sql"), "application/octet-stream");
    assert_string_equal(backup_object_media_type(".gz"), "application/octet-stream");
}

static void etags_are_kept_with_their_quotes(void **state)
{
    struct object object = OBJECT_INIT;
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(object_reply_set_etag(&object, "0x8D", &err));
    assert_string_equal(object.etag, "\"0x8D\"");
    assert_true(object_reply_set_etag(&object, "\"0x8E\"", &err));
    assert_string_equal(object.etag, "\"0x8E\"");
    assert_false(object_reply_set_etag(&object, "", &err));
    assert_false(object_reply_set_etag(&object, "a\r\nb", &err));
    assert_string_equal(object.etag, "\"0x8E\"");
    object_clear(&object);
}

static int clear_secrets(void **state)
{
    (void)state;
    redact_clear();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signature_of_making_a_container),
        cmocka_unit_test(signature_of_a_block),
        cmocka_unit_test(what_is_signed_is_canonical),
        cmocka_unit_test(connection_strings_that_are_good),
        cmocka_unit_test(connection_strings_that_are_not),
        cmocka_unit_test(key_and_signature_are_masked_everywhere),
        cmocka_unit_test(fields_of_a_shared_access_signature),
        cmocka_unit_test(container_names),
        cmocka_unit_test(store_urls_that_are_good),
        cmocka_unit_test(store_urls_that_are_not),
        cmocka_unit_test(account_without_a_key),
        cmocka_unit_test(ends_of_signatures),
        cmocka_unit_test(store_options_that_are_good),
        cmocka_unit_test(store_options_that_are_not),
        cmocka_unit_test(customer_provided_key),
        cmocka_unit_test(page_of_a_list),
        cmocka_unit_test(last_page_and_empty_page),
        cmocka_unit_test(what_is_not_the_blob_itself_is_passed_over),
        cmocka_unit_test(metadata_of_others_are_passed_over),
        cmocka_unit_test(encrypted_metadata_are_noted),
        cmocka_unit_test(list_that_is_odd_fails),
        cmocka_unit_test(blob_outside_the_prefix_fails_the_list),
        cmocka_unit_test(documents_with_a_type_are_refused),
        cmocka_unit_test(xml_that_is_too_much_is_refused),
        cmocka_unit_test(text_of_xml_elements),
        cmocka_unit_test(refusals_say_what_and_why_and_what_to_do),
        cmocka_unit_test(block_ids_have_one_length_and_sort_by_index),
        cmocka_unit_test(media_types),
        cmocka_unit_test(etags_are_kept_with_their_quotes),
    };

    log_configure(LOG_ERROR, LOG_FORMAT_TEXT, false);
    return cmocka_run_group_tests(tests, NULL, clear_secrets);
}
