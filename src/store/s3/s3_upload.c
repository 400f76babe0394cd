#include "store/s3/s3_upload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "store/backup_object.h"
#include "store/block_senders.h"
#include "store/s3/s3_commit.h"
#include "store/s3/s3_multipart.h"
#include "store/s3/s3_object.h"

#define RUN_ID_SIZE 17
/* What is sent in one request, by a client whose requests have an end. */
#define LARGEST_WHOLE (2 * BLOCK_FIRST_SIZE)
/* Cleaning up after a failure is worth so much waiting, whatever the settings say. */
#define CLEAN_UP_MS (15 * 1000)

struct s3_upload {
    struct upload base;
    struct s3_session session;
    struct http_limits limits;
    char *key;
    char run_id[RUN_ID_SIZE];
    int parallel;
    struct block *first; /* held until there is a second one; then all are parts */
    uint64_t bytes;
    struct block_senders *senders; /* NULL: no part yet */
    struct text upload_id;
    char *etags[S3_MULTIPART_MOST_PARTS]; /* each set by the thread that sent the part */
    bool metadata_beside;                 /* stored, or tried to be */
};

static struct s3_upload *cast(struct upload *upload)
{
    return (struct s3_upload *)upload;
}

static bool put_part(void *context, const struct block_sender *sender, const struct block *block,
                     struct error *err)
{
    struct s3_upload *upload = context;
    struct s3_session session = upload->session;
    char etag[S3_MULTIPART_ETAG_SIZE];

    session.client = sender->client;
    session.policy.cancelled = sender->cancelled;
    if (!s3_multipart_put(&session, upload->key, text_string(&upload->upload_id), block->index,
                          block->data, block->size, etag, err)) {
        return false;
    }
    upload->etags[block->index] = text_copy(etag);
    return upload->etags[block->index] != NULL ? true : error_set_memory(err);
}

/* What the object itself will say of its metadata has to be said now. */
static bool begin_parts(struct s3_upload *upload, struct error *err)
{
    const struct block_senders_options options = {.parallel = upload->parallel,
                                                  .limits = upload->limits,
                                                  .send = put_part,
                                                  .context = upload,
                                                  .cancelled = upload->base.store->cancelled};
    struct metadata own = METADATA_INIT;
    bool ok = s3_object_refer(&own, upload->run_id, err) &&
              s3_multipart_begin(&upload->session, upload->key, &own, &upload->upload_id, err) &&
              block_senders_new(&options, &upload->senders, err) &&
              block_senders_take(upload->senders, upload->first, err);

    metadata_clear(&own);
    block_release(upload->first);
    upload->first = NULL;
    return ok;
}

/* While it is not certain that no object needs them, metadata beside it stay. */
static bool remove_leftovers(const struct s3_upload *upload, const struct s3_session *session,
                             struct error *err)
{
    struct object object = OBJECT_INIT;
    bool found = false;
    bool ok = upload->upload_id.length == 0 ||
              s3_multipart_abort(session, upload->key, text_string(&upload->upload_id), err);

    if (ok && upload->metadata_beside) {
        ok = s3_object_peek(session, upload->key, &object, &found, err);
        if (ok && !(found && backup_object_has_run(&object, upload->run_id))) {
            ok = s3_object_remove_metadata(session, upload->key, upload->run_id, err);
        }
    }
    object_clear(&object);
    return ok;
}

/* With a client of its own, which neither a stop ends nor that the store is given up: nothing else
 * would remove what is stored already. */
static void clean_up(const struct s3_upload *upload)
{
    struct s3_session session = upload->session;
    struct http_limits limits = upload->limits;
    struct error err = ERROR_INIT;

    limits.reply_ms = CLEAN_UP_MS;
    session.policy.ignore_stop = true;
    session.policy.cancelled = NULL;
    if (session.policy.total_ms > CLEAN_UP_MS) {
        session.policy.total_ms = CLEAN_UP_MS;
    }
    session.client = http_client_new(&limits, &err);
    if (session.client != NULL) {
        http_client_ignore_stop(session.client);
    }
    if (session.client == NULL || !remove_leftovers(upload, &session, &err)) {
        log_warning("s3_leftovers", "%s; what was uploaded is paid for until it is removed",
                    err.text);
    }
    http_client_free(session.client);
}

static void end(struct s3_upload *upload, bool published)
{
    block_senders_free(upload->senders);
    if (!published && (upload->upload_id.length > 0 || upload->metadata_beside)) {
        clean_up(upload);
    }
    block_release(upload->first);
    for (size_t i = 0; i < S3_MULTIPART_MOST_PARTS; i++) {
        free(upload->etags[i]);
    }
    text_clear(&upload->upload_id);
    free(upload->key);
    free(upload);
}

bool s3_upload_begin(const struct s3_upload_options *options, struct upload **out,
                     struct error *err)
{
    if (strlen(options->run_id) != RUN_ID_SIZE - 1) {
        return error_set(err, ERROR_FAILED, "an upload with the run id '%s'", options->run_id);
    }
    struct s3_upload *upload = calloc(1, sizeof(*upload));
    if (upload == NULL) {
        return error_set_memory(err);
    }
    upload->base.store = options->store;
    upload->session = *options->session;
    upload->limits = options->block_limits;
    upload->parallel = options->parallel;
    upload->upload_id = (struct text)TEXT_INIT(S3_MULTIPART_ID_CAP);
    snprintf(upload->run_id, sizeof(upload->run_id), "%s", options->run_id);
    upload->key = text_copy(options->key);
    if (upload->key == NULL) {
        error_set_memory(err);
        end(upload, false);
        return false;
    }
    *out = &upload->base;
    return true;
}

bool s3_upload_block(struct upload *base, struct block *block, struct error *err)
{
    struct s3_upload *upload = cast(base);

    if (block->index >= S3_MULTIPART_MOST_PARTS) {
        return error_set(err, ERROR_FAILED, "more than %d blocks", S3_MULTIPART_MOST_PARTS);
    }
    upload->bytes += block->size;
    if (block->index == 0) {
        block_keep(block);
        upload->first = block;
        return block->size <= LARGEST_WHOLE || begin_parts(upload, err);
    }
    return (upload->senders != NULL || begin_parts(upload, err)) &&
           block_senders_take(upload->senders, block, err);
}

bool s3_upload_flush(struct upload *base, struct error *err)
{
    struct s3_upload *upload = cast(base);

    return upload->senders == NULL || block_senders_flush(upload->senders, err);
}

/* *own: what the object itself says. */
static bool store_metadata(struct s3_upload *upload, const struct metadata *metadata,
                           struct metadata *own, struct error *err)
{
    if (upload->senders == NULL && s3_object_takes(metadata)) {
        for (size_t i = 0; i < metadata->count; i++) {
            const struct metadata_entry *entry = &metadata->entries[i];
            if (!metadata_set(own, entry->name, entry->value, err)) {
                return false;
            }
        }
        return true;
    }
    upload->metadata_beside = true;
    return s3_object_refer(own, upload->run_id, err) &&
           s3_object_put_metadata(&upload->session, upload->key, upload->run_id, metadata, err);
}

bool s3_upload_commit(struct upload *base, const struct metadata *metadata, struct error *err)
{
    struct s3_upload *upload = cast(base);
    struct metadata own = METADATA_INIT;
    uint32_t count = 0;
    bool ok = s3_upload_flush(base, err) && store_metadata(upload, metadata, &own, err);

    if (ok) {
        if (upload->senders != NULL) {
            block_senders_sizes(upload->senders, &count);
        }
        const struct s3_commit commit = {
            .session = &upload->session,
            .key = upload->key,
            .run_id = upload->run_id,
            .metadata = &own,
            .whole = upload->first,
            .upload_id = count > 0 ? text_string(&upload->upload_id) : NULL,
            .etags = (const char *const *)upload->etags,
            .part_count = count,
            .bytes = upload->bytes,
            .permit = upload->base.permit,
            .permit_context = upload->base.permit_context,
        };
        ok = s3_commit_publish(&commit, err);
    }
    metadata_clear(&own);
    end(upload, ok);
    return ok;
}

void s3_upload_abandon(struct upload *base)
{
    if (base != NULL) {
        end(cast(base), false);
    }
}
