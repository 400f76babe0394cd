#include "store/store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "store/azure/azure_store.h"
#include "store/file/file_store.h"
#include "store/s3/s3_store.h"

#define DEFAULT_FOLDER_URL "file:///var/lib/rythm-backup"
#define URLS_CAP           8192
#define BLANKS             " \t\r\n"

static const struct {
    const struct store_kind *kind;
    const char *form; /* of its URLs, for messages */
} store_kinds[] = {
    {&azure_store_kind, "azblob://ACCOUNT/CONTAINER[/PREFIX]"},
    {&s3_store_kind, "s3://BUCKET[/PREFIX]"},
    {&file_store_kind, "file:///DIR"},
};

#define KIND_COUNT (sizeof(store_kinds) / sizeof(store_kinds[0]))

static bool refuse_url(const char *url, struct error *err)
{
    struct text forms = TEXT_INIT(1024);

    for (size_t i = 0; i < KIND_COUNT; i++) {
        text_appendf(&forms, "%s%s", i > 0 ? " or " : "", store_kinds[i].form);
    }
    /* What follows a question mark may be a signature. */
    error_set(err, ERROR_CONFIG, "'%.*s' is not the URL of a store; write %s",
              (int)strcspn(url, "?"), url, text_string(&forms));
    text_clear(&forms);
    return false;
}

static const struct store_kind *find_kind(const char *url, struct error *err)
{
    const char *end = strstr(url, "://");

    for (size_t i = 0; end != NULL && i < KIND_COUNT; i++) {
        const struct store_kind *kind = store_kinds[i].kind;
        if (strlen(kind->scheme) == (size_t)(end - url) &&
            memcmp(kind->scheme, url, (size_t)(end - url)) == 0) {
            return kind;
        }
    }
    refuse_url(url, err);
    return NULL;
}

/* The caller clears *out, also after a failure. */
static const struct store_kind *parse_url(const char *string, struct store_url *out,
                                          struct error *err)
{
    const struct store_kind *kind = find_kind(string, err);

    *out = (struct store_url){.parts = NULL};
    if (kind == NULL || !store_url_parse(string, out, err) ||
        !store_url_check_options(out, kind->options, err)) {
        return NULL;
    }
    return kind;
}

bool store_open(const char *url, const struct settings *settings, struct store **out,
                struct error *err)
{
    struct store_url parsed;
    const struct store_kind *kind = parse_url(url, &parsed, err);
    bool ok = kind != NULL && kind->open(&parsed, settings, out, err);

    if (ok) {
        (*out)->is_required = parsed.required;
    }
    store_url_clear(&parsed);
    return ok;
}

bool store_check(const char *url, struct error *err)
{
    struct store_url parsed;
    const struct store_kind *kind = parse_url(url, &parsed, err);
    bool ok = kind != NULL && kind->check(&parsed, err);

    store_url_clear(&parsed);
    return ok;
}

bool store_credentials_read(const struct settings *settings, struct store_credentials *out,
                            struct error *err)
{
    bool ok = true;

    *out = (struct store_credentials){.items = NULL};
    for (size_t i = 0; ok && i < KIND_COUNT; i++) {
        const struct store_kind *kind = store_kinds[i].kind;
        ok = kind->credentials == NULL || kind->credentials(settings, out, err);
    }
    return ok;
}

static void append_configured(struct text *urls, const char *value)
{
    for (value += strspn(value, BLANKS); *value != '\0'; value += strspn(value, BLANKS)) {
        size_t length = strcspn(value, BLANKS);
        if (urls->length > 0) {
            text_append(urls, " ");
        }
        text_append_bytes(urls, value, length);
        value += length;
    }
}

static bool append_azure(struct text *urls, const char *container, struct error *err)
{
    /* Whether such a container can exist is the service's to say; here it must not be able to
     * change what the URL means. */
    if (container[strcspn(container, BLANKS "/?#%")] != '\0') {
        error_set(err, ERROR_CONFIG, "%s = '%s' is not a container's name",
                  settings_table[SETTING_AZURE_CONTAINER].name, container);
        return error_hint(err, "write lower-case letters, digits and hyphens");
    }
    text_appendf(urls, "azblob:///%s", container);
    return true;
}

char *store_urls(const struct settings *settings, struct error *err)
{
    struct text urls = TEXT_INIT(URLS_CAP);
    const char *configured = settings_get(settings, SETTING_STORES);

    if (configured != NULL) {
        append_configured(&urls, configured);
    }
    if (!urls.failed && urls.length == 0) {
        if (settings_get(settings, SETTING_AZURE_CONNECTION_STRING) == NULL) {
            text_append(&urls, DEFAULT_FOLDER_URL);
        } else if (!append_azure(&urls, settings_get(settings, SETTING_AZURE_CONTAINER), err)) {
            goto failed;
        }
    }
    /* Within its bounds it is memory that was not to be had. */
    if (urls.failed && (configured == NULL || strlen(configured) < URLS_CAP)) {
        error_set_memory(err);
        goto failed;
    }
    if (urls.failed) {
        error_set(err, ERROR_CONFIG, "%s is longer than the %d bytes allowed",
                  settings_table[SETTING_STORES].name, URLS_CAP);
        goto failed;
    }
    return urls.data;

failed:
    text_clear(&urls);
    return NULL;
}

void store_step(struct store *store)
{
    if (store->watch != NULL) {
        atomic_store(&store->watch->at, store);
        atomic_fetch_add(&store->watch->steps, 1);
    }
}

bool store_prepare(struct store *store, struct error *err)
{
    store_step(store);
    return store->ops->prepare(store, err);
}

bool store_list(struct store *store, const char *prefix, struct objects *out, struct error *err)
{
    store_step(store);
    return store->ops->list(store, prefix, out, err);
}

/* Not when it was given up. */
static bool note_read(struct store *store, bool ok, const struct error *err)
{
    if (!ok && err->kind != ERROR_STOPPED) {
        atomic_store(&store->read_failed, true);
    }
    return ok;
}

bool store_head(struct store *store, const char *name, struct object *out, bool *found,
                struct error *err)
{
    store_step(store);
    return note_read(store, store->ops->head(store, name, out, found, err), err);
}

bool store_remove(struct store *store, const struct object *object, enum store_removal *result,
                  struct error *err)
{
    store_step(store);
    return store->ops->remove(store, object, result, err);
}

void store_ignore_stop(struct store *store, bool ignore)
{
    store->ignores_stop = ignore;
}

bool store_discard(struct store *store, const char *name, const char *run_id, struct error *err)
{
    store_step(store);
    return store->ops->discard(store, name, run_id, err);
}

bool store_confirm(struct store *store, const struct object *object, const char *run_id,
                   bool *whole, struct error *err)
{
    store_step(store);
    return store->ops->confirm(store, object, run_id, whole, err);
}

bool store_check_digest(struct store *store, const struct object *object, bool *same,
                        struct error *err)
{
    store_step(store);
    if (store->ops->check_digest == NULL) {
        *same = true;
        return true;
    }
    return store->ops->check_digest(store, object, same, err);
}

bool store_upload_begin(struct store *store, const struct upload_options *options,
                        struct upload **out, struct error *err)
{
    store_step(store);
    if (!store->ops->upload_begin(store, options, out, err)) {
        return false;
    }
    (*out)->permit = options->permit;
    (*out)->permit_context = options->permit_context;
    return true;
}

bool store_upload_block(struct upload *upload, struct block *block, struct error *err)
{
    store_step(upload->store);
    return upload->store->ops->upload_block(upload, block, err);
}

static bool take_block(void *upload, struct block *block, struct error *err)
{
    return store_upload_block(upload, block, err);
}

struct stage *store_upload_stage_new(struct upload *upload, struct error *err)
{
    return blocks_stage_new(&upload->store->block_limits, take_block, upload, err);
}

bool store_upload_flush(struct upload *upload, struct error *err)
{
    store_step(upload->store);
    return upload->store->ops->upload_flush(upload, err);
}

bool store_upload_commit(struct upload *upload, const struct metadata *metadata, struct error *err)
{
    store_step(upload->store);
    return upload->store->ops->upload_commit(upload, metadata, err);
}

void store_upload_abandon(struct upload *upload)
{
    if (upload != NULL) {
        store_step(upload->store);
        upload->store->ops->upload_abandon(upload);
    }
}

bool store_download_open(struct store *store, const struct object *object, struct download **out,
                         struct error *err)
{
    store_step(store);
    return note_read(store, store->ops->download_open(store, object, out, err), err);
}

bool store_download_read(struct download *download, uint64_t offset, void *buffer, size_t size,
                         struct error *err)
{
    if (offset > download->bytes || size > download->bytes - offset) {
        return error_set(err, ERROR_FAILED,
                         "%zu bytes from byte %" PRIu64
                         " on were asked for of an object of %" PRIu64 " bytes",
                         size, offset, download->bytes);
    }
    if (atomic_load(&download->cancelled)) {
        return error_set(err, ERROR_STOPPED, "reading was given up");
    }
    store_step(download->store);
    return size == 0 ||
           note_read(download->store,
                     download->store->ops->download_read(download, offset, buffer, size, err), err);
}

void store_download_cancel(struct download *download)
{
    atomic_store(&download->cancelled, true);
}

void store_download_close(struct download *download)
{
    if (download != NULL) {
        download->store->ops->download_close(download);
    }
}

void store_close(struct store *store)
{
    if (store != NULL) {
        store->ops->close(store);
    }
}
