#include "store/azure/azure_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "http/base_url.h"
#include "identity/token_cache.h"
#include "store/azure/azure_account.h"
#include "store/azure/azure_commit.h"
#include "store/azure/azure_download.h"
#include "store/azure/azure_list.h"
#include "store/azure/azure_object.h"
#include "store/azure/azure_options.h"
#include "store/azure/azure_policy.h"
#include "store/azure/azure_request.h"
#include "store/azure/azure_sas.h"
#include "store/azure/azure_upload.h"
#include "store/range_read.h"
#include "store/service_clients.h"

#define SCHEME       "azblob"
#define REPLY_CAP    (64 * 1024)
#define LONGEST_BLOB 1024
#define FOLDER_CAP   512
/* "Put Block" of the versions from 2019-12-12 on. */
#define MOST_BLOCK_SIZE ((size_t)4000 * 1024 * 1024)
#define MOST_BLOCKS     50000

struct azure_store {
    struct store base;
    struct azure_account account;
    struct azure_options options;
    struct token_cache *tokens; /* of an identity; NULL: the account has a key or a signature */
    char *container;
    char *folder; /* "" or "some/folder/" */
    struct service_clients clients;
    struct azure_session session; /* its client is set by connect_client() */
};

static struct azure_store *cast(struct store *store)
{
    return (struct azure_store *)store;
}

static bool connect_client(struct azure_store *store, struct error *err)
{
    store->session.client = service_clients_get(&store->clients, false, err);
    return store->session.client != NULL;
}

/* With the client that hears a stop, unless the store is to ignore it. */
static bool open_session(struct azure_store *store, struct azure_session *out, struct error *err)
{
    struct http_client *client =
        service_clients_get(&store->clients, store->base.ignores_stop, err);

    *out = store->session;
    out->client = client;
    return out->client != NULL;
}

static char *blob_name(const struct azure_store *store, const char *name, struct error *err)
{
    struct text blob = TEXT_INIT(LONGEST_BLOB);

    text_appendf(&blob, "%s%s", store->folder, name);
    if (blob.failed || blob.length == 0) {
        text_clear(&blob);
        error_set(err, ERROR_FAILED, "'%s' is no name for a blob, or memory is out", name);
    }
    return blob.data;
}

static bool make_container(struct azure_store *store, struct error *err)
{
    struct http_reply reply = HTTP_REPLY_INIT(REPLY_CAP);
    const struct azure_request request = {
        .method = "PUT", .parameters = {{"restype", "container"}}, .answers = {403, 409}};
    char code[AZURE_REQUEST_CODE_SIZE];

    bool ok = azure_request_send(&store->session, &request, &reply, err);
    azure_request_code(&reply, code);
    /* A signature for one container may not make any: then it is there, or the upload tells. */
    if (ok && reply.status >= 400 && strcmp(code, "ContainerAlreadyExists") != 0 &&
        !(reply.status == 403 && store->account.sas != NULL)) {
        ok = azure_request_refuse(&store->session, &reply, err);
    }
    http_reply_clear(&reply);
    return ok ? true : error_prefix(err, "making container %s", store->base.location);
}

static bool prepare(struct store *base, struct error *err)
{
    struct azure_store *store = cast(base);
    bool immutable = store->options.immutability != NULL;

    if (!azure_sas_check(&store->account, immutable, clock_utc_ms(), err) ||
        !connect_client(store, err)) {
        return false;
    }
    return immutable ? azure_policy_check_container(&store->session, err) ||
                           error_prefix(err, "store %s", base->location)
                     : make_container(store, err);
}

static bool list(struct store *base, const char *prefix, struct objects *out, struct error *err)
{
    struct azure_store *store = cast(base);
    const struct azure_list wanted = {
        .folder = store->folder,
        .prefix = prefix,
        .page_blobs = AZURE_LIST_PAGE_BLOBS,
        .absent_is_empty = base->is_new,
    };

    return connect_client(store, err) && azure_list_all(&store->session, &wanted, out, err);
}

static bool head(struct store *base, const char *name, struct object *out, bool *found,
                 struct error *err)
{
    struct azure_store *store = cast(base);
    struct azure_session session;
    char *blob = blob_name(store, name, err);
    bool ok = blob != NULL && open_session(store, &session, err) &&
              azure_object_head(&session, blob, name, out, found, err);

    free(blob);
    return ok;
}

static bool remove_object(struct store *base, const struct object *object,
                          enum store_removal *result, struct error *err)
{
    struct azure_store *store = cast(base);
    struct azure_session session;
    char *blob = blob_name(store, object->name, err);
    bool ok = blob != NULL && open_session(store, &session, err) &&
              azure_object_remove(&session, blob, object->etag, result, err);

    free(blob);
    return ok;
}

/* There is no call that drops uncommitted blocks; the service does, within a week. */
static bool discard(struct store *base, const char *name, const char *run_id, struct error *err)
{
    (void)base;
    (void)name;
    (void)run_id;
    (void)err;
    return true;
}

static bool confirm(struct store *base, const struct object *object, const char *run_id,
                    bool *whole, struct error *err)
{
    struct azure_store *store = cast(base);
    char *blob = blob_name(store, object->name, err);
    const struct azure_commit published = {
        .session = &store->session, .blob = blob, .run_id = run_id};
    bool ok = blob != NULL && connect_client(store, err) &&
              azure_commit_confirm(&published, object->bytes, whole, err);

    free(blob);
    return ok;
}

static bool upload_begin(struct store *base, const struct upload_options *options,
                         struct upload **out, struct error *err)
{
    struct azure_store *store = cast(base);
    char *blob = blob_name(store, options->name, err);

    /* Which also sets what cancels the session's waits. */
    struct http_client *client = service_clients_get(&store->clients, true, err);
    struct azure_session session = store->session;
    session.client = client;
    if (blob == NULL || client == NULL) {
        free(blob);
        return false;
    }
    const struct azure_upload_options inner = {.store = base,
                                               .session = &session,
                                               .block_limits = store->clients.limits,
                                               .blob = blob,
                                               .run_id = options->run_id,
                                               .parallel = options->parallel,
                                               .retain_ms = options->retain_ms};
    bool ok = azure_upload_begin(&inner, out, err);
    free(blob);
    return ok;
}

static bool download_open(struct store *base, const struct object *object, struct download **out,
                          struct error *err)
{
    struct azure_store *store = cast(base);
    char *blob = blob_name(store, object->name, err);
    const struct azure_download_options options = {.store = base,
                                                   .session = &store->session,
                                                   .limits = store->clients.limits,
                                                   .blob = blob,
                                                   .etag = object->etag,
                                                   .bytes = object->bytes};
    bool ok = blob != NULL && azure_download_open(&options, out, err);

    free(blob);
    return ok;
}

static void close_store(struct store *base)
{
    struct azure_store *store = cast(base);

    service_clients_clear(&store->clients);
    token_cache_free(store->tokens);
    azure_account_clear(&store->account);
    azure_options_clear(&store->options);
    free(store->container);
    free(store->folder);
    free(base->location);
    free(store);
}

static const struct store_ops ops = {
    .prepare = prepare,
    .list = list,
    .head = head,
    .remove = remove_object,
    .discard = discard,
    .confirm = confirm,
    .upload_begin = upload_begin,
    .upload_block = azure_upload_block,
    .upload_flush = azure_upload_flush,
    .upload_commit = azure_upload_commit,
    .upload_abandon = azure_upload_abandon,
    .download_open = download_open,
    .download_read = azure_download_read,
    .download_close = range_download_close,
    .close = close_store,
};

/* The account's own connection string, or else the one for whichever account it names. */
static bool set_account(struct azure_store *store, const char *name, size_t length,
                        const struct settings *settings, struct error *err)
{
    char setting[SETTINGS_NAME_SIZE] = "AZURE_STORAGE_CONNECTION_STRING";
    const char *connection =
        length > 0
            ? settings_get_for(settings, SETTING_AZURE_CONNECTION_STRING, name, length, setting)
            : NULL;
    bool is_own = connection != NULL;

    if (!is_own) {
        connection = settings_get(settings, SETTING_AZURE_CONNECTION_STRING);
    }
    if (connection == NULL && length > 0) {
        return azure_account_from_name(name, length, &store->account, err);
    }
    if (connection == NULL) {
        return error_set(err, ERROR_CONFIG, "it needs %s", setting);
    }
    if (!azure_account_parse(connection, &store->account, err)) {
        return is_own ? error_prefix(err, "%s", setting) : false;
    }
    /* store_urls() leaves the account out: it is the connection string's. */
    if (length == 0) {
        return true;
    }
    if (strlen(store->account.name) != length || memcmp(store->account.name, name, length) != 0) {
        error_set(err, ERROR_CONFIG, "%s is for the account %s", setting, store->account.name);
        return is_own ? false
                      : error_hint(err, "set AZURE_STORAGE_CONNECTION_STRING_ACCOUNT for each "
                                        "account, its name in upper case");
    }
    return true;
}

/* *account_length: of the beginning, which names the account or nothing. */
static bool set_container(struct azure_store *store, const char *place, size_t *account_length,
                          struct error *err)
{
    *account_length = strcspn(place, "/");
    const char *container = place + *account_length + (place[*account_length] == '/');
    size_t length = strcspn(container, "/");

    if (length == 0) {
        error_set(err, ERROR_CONFIG,
                  "it is not of the form " SCHEME "://ACCOUNT/CONTAINER or " SCHEME
                  "://ACCOUNT/CONTAINER/PREFIX");
        return false;
    }
    store->container = strndup(container, length);
    if (store->container == NULL) {
        return error_set_memory(err);
    }
    return azure_account_check_container(store->container, err) &&
           (store->folder = store_url_folder(container + length, err)) != NULL;
}

static bool check(const struct store_url *url, struct error *err)
{
    struct azure_store store = {.base = {.location = NULL}};
    size_t account_length;
    bool ok = set_container(&store, url->place, &account_length, err) &&
              azure_options_parse(url, &store.options, err);

    free(store.container);
    free(store.folder);
    return ok ? true : error_prefix(err, "store " SCHEME "://%s", url->place);
}

static bool set_place(struct azure_store *store, const char *place, const struct settings *settings,
                      struct error *err)
{
    struct text location = TEXT_INIT(FOLDER_CAP * 2);
    size_t account_length;

    if (!set_container(store, place, &account_length, err) ||
        !set_account(store, place, account_length, settings, err)) {
        return false;
    }
    text_appendf(&location, SCHEME "://%s/%s%s%s", store->account.name, store->container,
                 *store->folder != '\0' ? "/" : "", store->folder);
    if (location.failed) {
        text_clear(&location);
        return error_set_memory(err);
    }
    store->base.location = location.data;
    return true;
}

/* Without a key and without a signature there is a token, which goes with every request. */
static bool set_identity(struct azure_store *store, const struct settings *settings,
                         struct error *err)
{
    struct entra entra;

    if (store->account.key_size > 0 || store->account.sas != NULL) {
        return true;
    }
    if (!http_base_url_is_private(store->account.endpoint)) {
        return error_set(err, ERROR_CONFIG,
                         "an identity's token would be sent to an endpoint that is not https, and "
                         "not this host itself");
    }
    if (!entra_find(settings, &entra, err)) {
        return error_prefix(err, "it has no account key and no signature, and no identity");
    }
    store->tokens = token_cache_new(&entra, ENTRA_STORAGE, err);
    return store->tokens != NULL;
}

/* The key goes with every request. */
static bool set_options(struct azure_store *store, const struct store_url *url,
                        const struct settings *settings, struct error *err)
{
    if (!azure_options_parse(url, &store->options, err) ||
        !azure_options_read_key(&store->options, settings, err)) {
        return false;
    }
    return store->options.key[0] == '\0' || http_base_url_is_private(store->account.endpoint) ||
           error_set(err, ERROR_CONFIG,
                     "%s would be sent to an endpoint that is not https, and not this host itself",
                     settings_table[SETTING_AZURE_ENCRYPTION_KEY].name);
}

static bool open_store(const struct store_url *url, const struct settings *settings,
                       struct store **out, struct error *err)
{
    struct azure_store *store = calloc(1, sizeof(*store));

    if (store == NULL) {
        return error_set_memory(err);
    }
    store->base.ops = &ops;
    store->base.is_remote = true;
    store->base.block_limits = (struct block_limits){
        .first_size = BLOCK_FIRST_SIZE, .most_size = MOST_BLOCK_SIZE, .most_blocks = MOST_BLOCKS};
    if (!set_place(store, url->place, settings, err) || !set_options(store, url, settings, err) ||
        !set_identity(store, settings, err)) {
        close_store(&store->base);
        return error_prefix(err, "store " SCHEME "://%s", url->place);
    }
    service_clients_init(&store->clients, &store->session.policy, settings);
    store->clients.cancelled = &store->base.cancelled;
    store->session.account = &store->account;
    store->session.options = &store->options;
    store->session.tokens = store->tokens;
    store->session.container = store->container;
    *out = (struct store *)store;
    return true;
}

const struct store_kind azure_store_kind = {
    .scheme = SCHEME,
    .options = azure_options_names,
    .check = check,
    .open = open_store,
    .credentials = azure_sas_read,
};
