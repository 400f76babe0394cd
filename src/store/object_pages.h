/*
 * A service's list of objects, which comes in pages: all of them or an error (invariant I6). A list
 * that goes in circles, or has an object twice, is not what it seems.
 */
#ifndef STORE_OBJECT_PAGES_H
#define STORE_OBJECT_PAGES_H

#include <stdbool.h>

#include "base/error.h"
#include "base/text.h"
#include "store/objects.h"

#define OBJECT_PAGES_MARKER_CAP (16 * 1024)

/* Adds the objects of the page at *marker ("": the first) to *out, and replaces *marker by where
 * the next one begins ("": this was the last). */
typedef bool (*object_page)(void *context, struct objects *out, struct text *marker,
                            struct error *err);

/* *out is empty before, and untouched on failure. */
bool object_pages_read(object_page fetch, void *context, struct objects *out, struct error *err);

#endif
