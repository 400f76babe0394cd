/*
 * One object on its way into a container: Put Block by several threads (store/block_senders.h),
 * then one Put Block List (azure_commit.h).
 *
 * Blocks of an upload that died are invisible; the service drops them within a week. Their ids hold
 * the run's id, so that no other run can commit them.
 */
#ifndef STORE_AZURE_AZURE_UPLOAD_H
#define STORE_AZURE_AZURE_UPLOAD_H

#include <stdbool.h>

#include "base/error.h"
#include "http/exchange.h"
#include "store/azure/azure_request.h"
#include "store/store.h"

struct azure_upload_options {
    struct store *store;
    const struct azure_session *session; /* copied; what it points to is borrowed to the end */
    struct http_limits block_limits;     /* of the clients that send the blocks */
    const char *blob;                    /* its whole name */
    const char *run_id;                  /* 16 hex digits */
    int parallel;                        /* threads, and most blocks in flight */
    int64_t retain_ms;                   /* as in struct upload_options */
};

/* As their namesakes in struct store_ops. */
bool azure_upload_begin(const struct azure_upload_options *options, struct upload **out,
                        struct error *err);
bool azure_upload_block(struct upload *upload, struct block *block, struct error *err);
bool azure_upload_flush(struct upload *upload, struct error *err);
bool azure_upload_commit(struct upload *upload, const struct metadata *metadata, struct error *err);
void azure_upload_abandon(struct upload *upload);

#endif
