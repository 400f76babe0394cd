/*
 * Reading an object of a service, a range at a time (RFC 9110, section 14), on the condition that
 * it is still the one that was listed. What was damaged on its way is asked for again,
 * where the service tells the sum of a range; where it does not, a sum of the backup must tell.
 */
#ifndef STORE_RANGE_READ_H
#define STORE_RANGE_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "http/exchange.h"
#include "store/store.h"

/* The most that one request asks for. */
#define RANGE_READ_SIZE ((size_t)16 * 1024 * 1024)

struct range_source {
    const char *name; /* whole, for messages */
    const char *etag;
    uint64_t bytes;
    /* The MD5 in a reply of 206 is that of the range. */
    bool tells_md5;
    /* Gets "bytes=FIRST-LAST" of the object, `size` bytes, if its etag is still this one. Statuses
     * 412 and 416 are answers, too, and those that `refuse` is for. */
    bool (*get)(void *context, const char *range, size_t size, struct http_reply *reply,
                struct error *err);
    /* The error for another status from 300 on; returns false. */
    bool (*refuse)(void *context, const struct http_reply *reply, struct error *err);
    /* Whether there is an object of that name, whatever its etag. */
    bool (*exists)(void *context, bool *found, struct error *err);
    void *context;
};

/* As store_download_read(). */
bool range_read(const struct range_source *source, uint64_t offset, void *buffer, size_t size,
                struct error *err);

/* What the downloads of all services have; the first member of each kind's struct. */
struct range_download {
    struct download base;
    char *name; /* whole */
    char *etag;
    struct http_client *client; /* of its own; given up when the download is cancelled */
};

struct range_download_options {
    struct store *store;
    const struct http_limits *limits; /* of the client */
    const char *name;
    const char *etag;
    uint64_t bytes;
};

/* Allocates `size` bytes, zeroed behind the struct range_download that they begin with. */
bool range_download_open(const struct range_download_options *options, size_t size,
                         struct range_download **out, struct error *err);
/* As its namesake in struct store_ops. */
void range_download_close(struct download *download);

#endif
