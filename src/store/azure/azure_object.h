/*
 * One blob: what it is, and removing it.
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
/* The same for a blob that another key may have encrypted: then *found is false, too. */
bool azure_object_head_encrypted(const struct azure_session *session, const char *blob,
                                 const char *name, struct object *out, bool *found,
                                 struct error *err);

/* Delete Blob, with its snapshots, if its etag is still this one. */
bool azure_object_remove(const struct azure_session *session, const char *blob, const char *etag,
                         enum store_removal *result, struct error *err);

#endif
