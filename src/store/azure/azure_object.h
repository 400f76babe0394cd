/*
 * One blob: what it is, and removing it; and how the service's words for a blob (headers of one
 * reply, elements of a list) become a `struct object`.
 */
#ifndef STORE_AZURE_AZURE_OBJECT_H
#define STORE_AZURE_AZURE_OBJECT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "store/azure/azure_request.h"
#include "store/objects.h"
#include "store/store.h"

/* Get Blob Properties. The object gets `name` as its name. *found is false, without an error, for
 * 404. */
bool azure_object_head(const struct azure_session *session, const char *blob, const char *name,
                       struct object *out, bool *found, struct error *err);

/* Delete Blob, with its snapshots, if its etag is still this one. */
bool azure_object_remove(const struct azure_session *session, const char *blob, const char *etag,
                         enum store_removal *result, struct error *err);

/* Takes over what can be metadata of ours (store/metadata.h); passes over what only another program
 * can have written. False when memory is out. */
bool azure_object_add_metadata(struct object *object, const char *name, const char *value,
                               struct error *err);
/* Lists give etags without the quotes that headers have: the object gets the quoted form. */
bool azure_object_set_etag(struct object *object, const char *etag, struct error *err);

#endif
