/*
 * How a service's words for an object (headers of one reply, elements of a list) become a `struct
 * object`.
 */
#ifndef STORE_OBJECT_REPLY_H
#define STORE_OBJECT_REPLY_H

#include <stdbool.h>

#include "base/error.h"
#include "http/message.h"
#include "store/objects.h"

/* Of the reply to a HEAD: Content-Length, ETag, Last-Modified, and the headers that begin with
 * `metadata_prefix` ("x-ms-meta-") as metadata. The object gets `name` as its name. */
bool object_reply_read(const struct http_reply *reply, const char *metadata_prefix,
                       const char *name, struct object *out, struct error *err);

/* Takes over what can be metadata of ours (store/metadata.h); passes over what only another program
 * can have written. False when memory is out. */
bool object_reply_add_metadata(struct object *object, const char *name, const char *value,
                               struct error *err);
/* Lists may give etags without the quotes that headers have: the object gets the quoted form. */
bool object_reply_set_etag(struct object *object, const char *etag, struct error *err);

#endif
