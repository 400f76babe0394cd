#include "store/azure/azure_upload.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/base64.h"
#include "crypto/digest.h"
#include "store/azure/azure_commit.h"
#include "store/azure/azure_policy.h"
#include "store/block_senders.h"

#define REPLY_CAP   (64 * 1024)
#define RUN_ID_SIZE 17

struct azure_upload {
    struct upload base;
    struct azure_session session;
    char *blob;
    char run_id[RUN_ID_SIZE];
    struct azure_policy policy;
    struct block_senders *senders;
};

static struct azure_upload *cast(struct upload *upload)
{
    return (struct azure_upload *)upload;
}

/* Sending the same block under the same id again replaces it: repeating is harmless. */
static bool put_block(void *context, const struct block_sender *sender, const struct block *block,
                      struct error *err)
{
    const struct azure_upload *upload = context;
    struct azure_session session = upload->session;
    struct http_reply reply = HTTP_REPLY_INIT(REPLY_CAP);
    unsigned char md5[DIGEST_MD5_SIZE];
    char md5_text[BASE64_SIZE(DIGEST_MD5_SIZE)];
    char id[AZURE_COMMIT_ID_SIZE];

    session.client = sender->client;
    session.policy.cancelled = sender->cancelled;
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
        .encryption = AZURE_ENCRYPTION_WRITE,
        .body = block->data,
        .body_size = block->size,
    };
    bool ok = azure_request_send(&session, &request, &reply, err);
    http_reply_clear(&reply);
    return ok ? true
              : error_prefix(err, "storing block %" PRIu32 " of %s", block->index, upload->blob);
}

static void end(struct azure_upload *upload)
{
    block_senders_free(upload->senders);
    free(upload->blob);
    free(upload);
}

bool azure_upload_begin(const struct azure_upload_options *options, struct upload **out,
                        struct error *err)
{
    if (strlen(options->run_id) != RUN_ID_SIZE - 1) {
        return error_set(err, ERROR_FAILED, "an upload with the run id '%s'", options->run_id);
    }
    struct azure_upload *upload = calloc(1, sizeof(*upload));
    if (upload == NULL) {
        return error_set_memory(err);
    }
    upload->base.store = options->store;
    upload->session = *options->session;
    azure_policy_set(&upload->policy, &upload->session, options->retain_ms);
    snprintf(upload->run_id, sizeof(upload->run_id), "%s", options->run_id);
    upload->blob = text_copy(options->blob);
    if (upload->blob == NULL) {
        error_set_memory(err);
        end(upload);
        return false;
    }
    const struct block_senders_options senders = {.parallel = options->parallel,
                                                  .limits = options->block_limits,
                                                  .send = put_block,
                                                  .context = upload,
                                                  .cancelled = options->store->cancelled};
    if (!block_senders_new(&senders, &upload->senders, err)) {
        end(upload);
        return false;
    }
    *out = &upload->base;
    return true;
}

bool azure_upload_block(struct upload *base, struct block *block, struct error *err)
{
    return block_senders_take(cast(base)->senders, block, err);
}

bool azure_upload_flush(struct upload *base, struct error *err)
{
    return block_senders_flush(cast(base)->senders, err);
}

bool azure_upload_commit(struct upload *base, const struct metadata *metadata, struct error *err)
{
    struct azure_upload *upload = cast(base);
    uint32_t count;
    const size_t *sizes = block_senders_sizes(upload->senders, &count);
    const struct azure_commit commit = {
        .session = &upload->session,
        .blob = upload->blob,
        .run_id = upload->run_id,
        .metadata = metadata,
        .policy = &upload->policy,
        .block_sizes = sizes,
        .block_count = count,
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
