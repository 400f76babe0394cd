/*
 * One object of a container being read: Get Blob, a range at a time, on the condition that the blob
 * is still the one that was listed.
 * https://learn.microsoft.com/rest/api/storageservices/get-blob
 *
 * The service gives the MD5 of a range of up to 4 MiB when asked; where it does, it is checked.
 */
#ifndef STORE_AZURE_AZURE_DOWNLOAD_H
#define STORE_AZURE_AZURE_DOWNLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "http/exchange.h"
#include "store/azure/azure_request.h"
#include "store/store.h"

struct azure_download_options {
    struct store *store;
    const struct azure_session *session; /* copied, but for its client; what it points to is
                                            borrowed to the end */
    struct http_limits limits;           /* of the client of the download's own */
    const char *blob;                    /* its whole name */
    const char *etag;
    uint64_t bytes;
};

/* As their namesakes in struct store_ops; the end is range_download_close(). */
bool azure_download_open(const struct azure_download_options *options, struct download **out,
                         struct error *err);
bool azure_download_read(struct download *download, uint64_t offset, void *buffer, size_t size,
                         struct error *err);

#endif
