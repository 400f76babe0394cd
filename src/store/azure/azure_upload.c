#include "store/azure/azure_upload.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/thread.h"
#include "crypto/base64.h"
#include "crypto/digest.h"
#include "store/azure/azure_commit.h"

#define REPLY_CAP   (64 * 1024)
#define RUN_ID_SIZE 17

struct azure_upload;

struct worker {
    struct azure_upload *upload;
    struct azure_session session; /* the upload's, with a client of the thread's own */
    pthread_t thread;
};

struct azure_upload {
    struct upload base;
    struct azure_session session;
    char *blob;
    char run_id[RUN_ID_SIZE];
    size_t parallel;
    struct worker workers[AZURE_UPLOAD_MOST_PARALLEL];
    size_t worker_count; /* running */
    size_t *block_sizes; /* of every block taken so far */
    uint32_t block_count;
    uint32_t block_capacity;
    atomic_bool cancelled; /* the transfers are to give up */

    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t work;  /* a block is queued, or closing */
    pthread_cond_t room;  /* a block has left, or a failure came */
    struct block *queue[AZURE_UPLOAD_MOST_PARALLEL];
    size_t queued;
    size_t in_flight; /* queued or being sent */
    size_t in_flight_bytes;
    bool closing;
    bool failed;
    struct error failure; /* the first one */
};

static struct azure_upload *cast(struct upload *upload)
{
    return (struct azure_upload *)upload;
}

/* Sending the same block under the same id again replaces it: repeating is harmless. */
static bool put_block(const struct azure_session *session, const struct azure_upload *upload,
                      const struct block *block, struct error *err)
{
    struct http_reply reply = HTTP_REPLY_INIT(REPLY_CAP);
    unsigned char md5[DIGEST_MD5_SIZE];
    char md5_text[BASE64_SIZE(DIGEST_MD5_SIZE)];
    char id[AZURE_COMMIT_ID_SIZE];

    if (!digest_of(DIGEST_MD5, block->data, block->size, md5, err)) {
        return false;
    }
    base64_encode(md5_text, md5, sizeof(md5));
    azure_commit_format_id(id, upload->run_id, block->index);
    const struct azure_request request = {
        .method = "PUT",
        .blob = upload->blob,
        .parameters = {{"comp", "block"}, {"blockid", id}},
        .headers = {{"Content-Type", "application/octet-stream"}, {"Content-MD5", md5_text}},
        .body = block->data,
        .body_size = block->size,
    };
    bool ok = azure_request_send(session, &request, &reply, err);
    http_reply_clear(&reply);
    return ok ? true
              : error_prefix(err, "storing block %" PRIu32 " of %s", block->index, upload->blob);
}

/* Waits for a block to send; NULL when there is to be none any more. */
static struct block *take(struct azure_upload *upload)
{
    struct block *block = NULL;

    pthread_mutex_lock(&upload->lock);
    while (upload->queued == 0 && !upload->closing) {
        pthread_cond_wait(&upload->work, &upload->lock);
    }
    if (upload->queued > 0) {
        block = upload->queue[0];
        upload->queued--;
        memmove(&upload->queue[0], &upload->queue[1], upload->queued * sizeof(upload->queue[0]));
    }
    pthread_mutex_unlock(&upload->lock);
    return block;
}

static void give_back(struct azure_upload *upload, struct block *block, bool ok,
                      const struct error *err)
{
    pthread_mutex_lock(&upload->lock);
    if (!ok && !upload->failed) {
        upload->failed = true;
        upload->failure = *err;
        atomic_store(&upload->cancelled, true);
    }
    upload->in_flight--;
    upload->in_flight_bytes -= block->size;
    pthread_cond_broadcast(&upload->room);
    pthread_mutex_unlock(&upload->lock);
    block_release(block);
}

static void *work(void *context)
{
    struct worker *worker = context;
    struct azure_upload *upload = worker->upload;
    struct block *block;

    while ((block = take(upload)) != NULL) {
        struct error err = ERROR_INIT;
        bool ok =
            !atomic_load(&upload->cancelled) && put_block(&worker->session, upload, block, &err);
        give_back(upload, block, ok, &err);
    }
    return NULL;
}

static bool start_worker(struct azure_upload *upload, const struct http_limits *limits,
                         struct error *err)
{
    struct worker *worker = &upload->workers[upload->worker_count];

    worker->upload = upload;
    worker->session = upload->session;
    worker->session.policy.cancelled = &upload->cancelled;
    worker->session.client = http_client_new(limits, err);
    if (worker->session.client == NULL) {
        return false;
    }
    http_client_cancel_with(worker->session.client, &upload->cancelled);
    if (!thread_start(&worker->thread, work, worker, err)) {
        http_client_free(worker->session.client);
        return error_prefix(err, "preparing the upload");
    }
    upload->worker_count++;
    return true;
}

static bool start_workers(struct azure_upload *upload, const struct http_limits *limits,
                          struct error *err)
{
    bool ok = true;

    while (ok && upload->worker_count < upload->parallel) {
        ok = start_worker(upload, limits, err);
    }
    return ok;
}

static void stop_workers(struct azure_upload *upload)
{
    pthread_mutex_lock(&upload->lock);
    upload->closing = true;
    pthread_cond_broadcast(&upload->work);
    pthread_mutex_unlock(&upload->lock);
    for (size_t i = 0; i < upload->worker_count; i++) {
        pthread_join(upload->workers[i].thread, NULL);
        http_client_free(upload->workers[i].session.client);
    }
    upload->worker_count = 0;
}

static void end(struct azure_upload *upload)
{
    atomic_store(&upload->cancelled, true);
    stop_workers(upload);
    pthread_cond_destroy(&upload->work);
    pthread_cond_destroy(&upload->room);
    pthread_mutex_destroy(&upload->lock);
    free(upload->block_sizes);
    free(upload->blob);
    free(upload);
}

/* As blocks grow, fewer of them are in flight, but always two, so that one is sent while the next
 * one waits (or one, where no more is allowed). */
static bool has_room(const struct azure_upload *upload, size_t size)
{
    size_t budget = upload->parallel * BLOCK_FIRST_SIZE;

    if (budget < size * 2) {
        budget = size * 2;
    }
    return upload->in_flight < upload->parallel && upload->in_flight_bytes + size <= budget;
}

static bool remember_size(struct azure_upload *upload, const struct block *block, struct error *err)
{
    if (block->index != upload->block_count) {
        return error_set(err, ERROR_FAILED, "block %" PRIu32 " came instead of block %" PRIu32,
                         block->index, upload->block_count);
    }
    if (upload->block_count == upload->block_capacity) {
        uint32_t capacity = upload->block_capacity > 0 ? upload->block_capacity * 2 : 64;
        size_t *longer = reallocarray(upload->block_sizes, capacity, sizeof(*longer));
        if (longer == NULL) {
            return error_set_memory(err);
        }
        upload->block_sizes = longer;
        upload->block_capacity = capacity;
    }
    upload->block_sizes[upload->block_count++] = block->size;
    return true;
}

bool azure_upload_begin(const struct azure_upload_options *options, struct upload **out,
                        struct error *err)
{
    if (options->parallel < 1 || options->parallel > AZURE_UPLOAD_MOST_PARALLEL ||
        strlen(options->run_id) != RUN_ID_SIZE - 1) {
        return error_set(err, ERROR_FAILED,
                         "an upload with %d requests at once and the run id '%s'",
                         options->parallel, options->run_id);
    }
    struct azure_upload *upload = calloc(1, sizeof(*upload));
    if (upload == NULL) {
        return error_set_memory(err);
    }
    pthread_mutex_init(&upload->lock, NULL);
    pthread_cond_init(&upload->work, NULL);
    pthread_cond_init(&upload->room, NULL);
    upload->base.store = options->store;
    upload->session = *options->session;
    upload->parallel = (size_t)options->parallel;
    snprintf(upload->run_id, sizeof(upload->run_id), "%s", options->run_id);
    upload->blob = text_copy(options->blob);
    if (upload->blob == NULL) {
        error_set_memory(err);
        end(upload);
        return false;
    }
    if (!start_workers(upload, &options->block_limits, err)) {
        end(upload);
        return false;
    }
    *out = &upload->base;
    return true;
}

bool azure_upload_block(struct upload *base, struct block *block, struct error *err)
{
    struct azure_upload *upload = cast(base);

    if (!remember_size(upload, block, err)) {
        return false;
    }
    pthread_mutex_lock(&upload->lock);
    while (!upload->failed && !has_room(upload, block->size)) {
        pthread_cond_wait(&upload->room, &upload->lock);
    }
    bool ok = !upload->failed;
    if (ok) {
        block_keep(block);
        upload->queue[upload->queued++] = block;
        upload->in_flight++;
        upload->in_flight_bytes += block->size;
        pthread_cond_signal(&upload->work);
    } else {
        *err = upload->failure;
    }
    pthread_mutex_unlock(&upload->lock);
    return ok;
}

bool azure_upload_flush(struct upload *base, struct error *err)
{
    struct azure_upload *upload = cast(base);

    pthread_mutex_lock(&upload->lock);
    while (upload->in_flight > 0) {
        pthread_cond_wait(&upload->room, &upload->lock);
    }
    bool ok = !upload->failed;
    if (!ok) {
        *err = upload->failure;
    }
    pthread_mutex_unlock(&upload->lock);
    return ok;
}

bool azure_upload_commit(struct upload *base, const struct metadata *metadata, struct error *err)
{
    struct azure_upload *upload = cast(base);
    const struct azure_commit commit = {
        .session = &upload->session,
        .blob = upload->blob,
        .run_id = upload->run_id,
        .metadata = metadata,
        .block_sizes = upload->block_sizes,
        .block_count = upload->block_count,
        .permit = upload->base.permit,
        .permit_context = upload->base.permit_context,
    };
    bool ok = azure_upload_flush(base, err) && azure_commit_publish(&commit, err);

    end(upload);
    return ok;
}

void azure_upload_abandon(struct upload *base)
{
    if (base != NULL) {
        end(cast(base));
    }
}
