#include "store/s3/s3_store.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "store/backup_object.h"
#include "store/range_read.h"
#include "store/s3/s3_bucket.h"
#include "store/s3/s3_download.h"
#include "store/s3/s3_identity.h"
#include "store/s3/s3_list.h"
#include "store/s3/s3_multipart.h"
#include "store/s3/s3_object.h"
#include "store/s3/s3_request.h"
#include "store/s3/s3_upload.h"
#include "store/service_clients.h"

#define SCHEME      "s3"
#define LONGEST_KEY 1024
/* "Amazon S3 multipart upload limits": a part has at most 5 GiB. */
#define MOST_BLOCK_SIZE ((size_t)5 * 1024 * 1024 * 1024)

struct s3_store {
    struct store base;
    struct s3_bucket bucket;
    struct s3_identity *identity;
    struct service_clients clients;
    struct s3_session session; /* its client is set by open_session() */
};

static struct s3_store *cast(struct store *store)
{
    return (struct s3_store *)store;
}

static bool open_session(struct s3_store *store, bool ignore_stop, struct s3_session *out,
                         struct error *err)
{
    struct http_client *client = service_clients_get(&store->clients, ignore_stop, err);

    *out = store->session;
    out->client = client;
    out->policy.ignore_stop = ignore_stop;
    return out->client != NULL;
}

static char *object_key(const struct s3_store *store, const char *name, struct error *err)
{
    struct text key = TEXT_INIT(LONGEST_KEY);

    text_appendf(&key, "%s%s", store->bucket.folder, name);
    if (key.failed || key.length == 0) {
        text_clear(&key);
        error_set(err, ERROR_FAILED, "'%s' is no name for an object, or memory is out", name);
    }
    return key.data;
}

/* A bucket's name is its owner's to choose, all over the world: none is made. */
static bool prepare(struct store *base, struct error *err)
{
    struct s3_store *store = cast(base);
    const struct s3_list wanted = {.folder = store->bucket.folder, .prefix = BACKUP_NAME_PREFIX};
    struct s3_session session;

    return (open_session(store, false, &session, err) && s3_list_probe(&session, &wanted, err)) ||
           error_prefix(err, "asking for bucket %s", store->bucket.name);
}

static bool list(struct store *base, const char *prefix, struct objects *out, struct error *err)
{
    struct s3_store *store = cast(base);
    const struct s3_list wanted = {
        .folder = store->bucket.folder, .prefix = prefix, .absent_is_empty = base->is_new};
    struct s3_session session;

    return open_session(store, false, &session, err) && s3_list_all(&session, &wanted, out, err);
}

static bool head(struct store *base, const char *name, struct object *out, bool *found,
                 struct error *err)
{
    struct s3_store *store = cast(base);
    struct s3_session session;
    char *key = object_key(store, name, err);
    bool ok = key != NULL && open_session(store, base->ignores_stop, &session, err) &&
              s3_object_head(&session, key, name, out, found, err);

    free(key);
    return ok;
}

static bool remove_object(struct store *base, const struct object *object,
                          enum store_removal *result, struct error *err)
{
    struct s3_store *store = cast(base);
    struct s3_session session;
    char *key = object_key(store, object->name, err);
    bool ok = key != NULL && open_session(store, base->ignores_stop, &session, err) &&
              s3_object_remove(&session, key, object->etag, result, err);

    free(key);
    return ok;
}

/* With its upload aborted, a run that is not dead but only paused cannot publish any more. */
static bool discard(struct store *base, const char *name, const char *run_id, struct error *err)
{
    struct s3_store *store = cast(base);
    struct s3_session session;
    struct object object = OBJECT_INIT;
    bool found = false;
    char *key = object_key(store, name, err);
    bool ok = key != NULL && open_session(store, base->ignores_stop, &session, err) &&
              s3_multipart_abort_all(&session, key, err) &&
              s3_object_peek(&session, key, &object, &found, err);

    if (ok && !(found && backup_object_has_run(&object, run_id))) {
        ok = s3_object_remove_metadata(&session, key, run_id, err);
    }
    object_clear(&object);
    free(key);
    return ok;
}

/* An object is made by one request that lists all of its parts, in order, and that the service
 * checks: what is there under this run's id, with its length, is what the run asked for. */
static bool confirm(struct store *base, const struct object *object, const char *run_id,
                    bool *whole, struct error *err)
{
    struct object now = OBJECT_INIT;
    bool found = false;

    if (!head(base, object->name, &now, &found, err)) {
        return error_prefix(err, "checking %s", object->name);
    }
    *whole = found && backup_object_has_run(&now, run_id) && now.bytes == object->bytes;
    object_clear(&now);
    return true;
}

static bool upload_begin(struct store *base, const struct upload_options *options,
                         struct upload **out, struct error *err)
{
    struct s3_store *store = cast(base);
    struct s3_session session;
    char *key = object_key(store, options->name, err);
    bool ok = key != NULL && open_session(store, true, &session, err);

    /* Its client goes on after a stop; waiting between attempts does not. */
    session.policy.ignore_stop = false;
    if (ok) {
        const struct s3_upload_options inner = {.store = base,
                                                .session = &session,
                                                .block_limits = store->clients.limits,
                                                .key = key,
                                                .run_id = options->run_id,
                                                .parallel = options->parallel};
        ok = s3_upload_begin(&inner, out, err);
    }
    free(key);
    return ok;
}

static bool download_open(struct store *base, const struct object *object, struct download **out,
                          struct error *err)
{
    struct s3_store *store = cast(base);
    char *key = object_key(store, object->name, err);
    const struct s3_download_options options = {.store = base,
                                                .session = &store->session,
                                                .limits = store->clients.limits,
                                                .key = key,
                                                .etag = object->etag,
                                                .bytes = object->bytes};
    bool ok = key != NULL && s3_download_open(&options, out, err);

    free(key);
    return ok;
}

static void close_store(struct store *base)
{
    struct s3_store *store = cast(base);

    service_clients_clear(&store->clients);
    s3_identity_free(store->identity);
    s3_bucket_clear(&store->bucket);
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
    .upload_block = s3_upload_block,
    .upload_flush = s3_upload_flush,
    .upload_commit = s3_upload_commit,
    .upload_abandon = s3_upload_abandon,
    .download_open = download_open,
    .download_read = s3_download_read,
    .download_close = range_download_close,
    .close = close_store,
};

static bool check(const struct store_url *url, struct error *err)
{
    struct s3_bucket bucket;
    bool ok = s3_bucket_parse(url, NULL, &bucket, err);

    s3_bucket_clear(&bucket);
    return ok ? true : error_prefix(err, "store " SCHEME "://%s", url->place);
}

static struct block_limits limits_of(const struct s3_bucket *bucket)
{
    bool same = bucket->part_size != 0;

    return (struct block_limits){.first_size = same ? bucket->part_size : BLOCK_FIRST_SIZE,
                                 .most_size = same ? bucket->part_size : MOST_BLOCK_SIZE,
                                 .most_blocks = S3_MULTIPART_MOST_PARTS};
}

static bool open_store(const struct store_url *url, const struct settings *settings,
                       struct store **out, struct error *err)
{
    struct s3_store *store = calloc(1, sizeof(*store));

    if (store == NULL) {
        return error_set_memory(err);
    }
    store->base.ops = &ops;
    store->base.is_remote = true;
    if (!s3_bucket_parse(url, settings, &store->bucket, err) ||
        !s3_identity_new(settings, store->bucket.name, store->bucket.region, &store->identity,
                         err)) {
        close_store(&store->base);
        return error_prefix(err, "store " SCHEME "://%s", url->place);
    }
    store->base.location = store->bucket.location;
    store->bucket.location = NULL;
    store->base.block_limits = limits_of(&store->bucket);
    service_clients_init(&store->clients, &store->session.policy, settings);
    store->clients.cancelled = &store->base.cancelled;
    store->session.bucket = &store->bucket;
    store->session.identity = store->identity;
    *out = (struct store *)store;
    return true;
}

const struct store_kind s3_store_kind = {
    .scheme = SCHEME, .options = s3_bucket_options, .check = check, .open = open_store};
