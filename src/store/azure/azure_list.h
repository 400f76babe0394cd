/*
 * List Blobs: every blob whose name starts with a prefix, with metadata, page by page.
 *
 * Invariant I6 rests on it: whatever is not exactly as the service writes it (an element that says
 * that there is more is missing, a marker or a blob that comes twice, a name outside the prefix)
 * fails the listing, because a list that is silently short would make retention delete.
 */
#ifndef STORE_AZURE_AZURE_LIST_H
#define STORE_AZURE_AZURE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/text.h"
#include "store/azure/azure_request.h"
#include "store/objects.h"

/* The page with full metadata (8 KiB each) of this many blobs still fits into XML_CAP. */
#define AZURE_LIST_PAGE_BLOBS 1000

/* What is asked for. The names in the list are those of the blobs without `folder`. */
struct azure_list {
    const char *folder;   /* "" or "some/folder/" */
    const char *prefix;   /* within the folder */
    int page_blobs;       /* AZURE_LIST_PAGE_BLOBS; fewer in tests */
    bool absent_is_empty; /* a container that does not exist is no error */
};

/* *out is empty before, and untouched on failure. */
bool azure_list_all(const struct azure_session *session, const struct azure_list *list,
                    struct objects *out, struct error *err);

/* Adds the blobs of one page to *out and replaces *marker by where the next one begins ("" = this
 * was the last). */
bool azure_list_parse(const struct azure_list *list, const void *page, size_t size,
                      struct objects *out, struct text *marker, struct error *err);

#endif
