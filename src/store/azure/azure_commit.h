/*
 * The end of an upload to a container: the Put Block List that makes the blob, the resolution of an
 * answer that was lost, and the check of what the service has then.
 *
 * INVARIANT I2: the blob comes into being with the Put Block List, which says If-None-Match: *.
 * INVARIANT I3: afterwards the service is asked for the blocks it has committed; if they are not
 * those that were sent, in that order and of those sizes, or if the immutability policy that was
 * asked for is not there, the blob is removed again.
 */
#ifndef STORE_AZURE_AZURE_COMMIT_H
#define STORE_AZURE_AZURE_COMMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "store/azure/azure_policy.h"
#include "store/azure/azure_request.h"
#include "store/metadata.h"
#include "store/store.h"

struct azure_commit {
    const struct azure_session *session;
    const char *blob;
    const char *run_id;
    const struct metadata *metadata; /* holds the run's id */
    const struct azure_policy *policy;
    const size_t *block_sizes; /* bytes, by the block's index */
    uint32_t block_count;
    upload_permit permit; /* before each attempt to publish */
    void *permit_context;
};

/* Makes the blob unless there is one of that name, and proves it. After a failure there is no blob
 * of ours, or the error says that there is or may be one. */
bool azure_commit_publish(const struct azure_commit *commit, struct error *err);

/* *whole: a published blob of `bytes` bytes is made of the run's blocks 0, 1, 2, ..., each once.
 * For a run that another process began: of `commit`, only session, blob and run_id are needed. */
bool azure_commit_confirm(const struct azure_commit *commit, uint64_t bytes, bool *whole,
                          struct error *err);

/* The id of a block: base64 of 16 hex digits of the run and 8 of the index, so that all ids of a
 * blob have the same length, as the service wants, and need no encoding in a URL. */
#define AZURE_COMMIT_ID_SIZE 33
void azure_commit_format_id(char out[AZURE_COMMIT_ID_SIZE], const char *run_id, uint32_t index);

#endif
