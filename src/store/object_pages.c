#include "store/object_pages.h"

#include <stdlib.h>
#include <string.h>

#define MOST_PAGES 20000 /* pages may be short, even empty */

static int compare_names(const void *a, const void *b)
{
    const char *const *left = a;
    const char *const *right = b;

    return strcmp(*left, *right);
}

static bool check_distinct(const struct objects *objects, struct error *err)
{
    bool ok = true;

    if (objects->count < 2) {
        return true;
    }
    const char **names = calloc(objects->count, sizeof(*names));
    if (names == NULL) {
        return error_set_memory(err);
    }
    for (size_t i = 0; i < objects->count; i++) {
        names[i] = objects->items[i].name;
    }
    qsort(names, objects->count, sizeof(*names), compare_names);
    for (size_t i = 1; ok && i < objects->count; i++) {
        if (strcmp(names[i - 1], names[i]) == 0) {
            ok = error_set(err, ERROR_FAILED, "the list has '%s' twice", names[i]);
        }
    }
    free(names);
    return ok;
}

/* Markers that repeat, after however many pages, would be a list without an end: each new one is
 * compared with the one of the last page whose number is a power of two (Brent). */
static bool watch_marker(int page, const struct text *marker, struct text *seen, struct error *err)
{
    if (seen->length > 0 && strcmp(text_string(seen), text_string(marker)) == 0) {
        return error_set(err, ERROR_FAILED, "the list goes in circles: a page comes twice");
    }
    if ((page & (page - 1)) == 0) {
        text_clear(seen);
        text_append(seen, text_string(marker));
    }
    return seen->failed ? error_set_memory(err) : true;
}

bool object_pages_read(object_page fetch, void *context, struct objects *out, struct error *err)
{
    struct objects objects = OBJECTS_INIT;
    struct text marker = TEXT_INIT(OBJECT_PAGES_MARKER_CAP);
    struct text seen = TEXT_INIT(OBJECT_PAGES_MARKER_CAP);
    bool ok = true;

    for (int page = 1; ok && (page == 1 || marker.length > 0); page++) {
        if (page > MOST_PAGES) {
            ok = error_set(err, ERROR_FAILED, "the list has more than %d pages", MOST_PAGES);
            break;
        }
        ok = fetch(context, &objects, &marker, err) &&
             (marker.length == 0 || watch_marker(page, &marker, &seen, err));
    }
    ok = ok && check_distinct(&objects, err);
    if (ok) {
        *out = objects;
    } else {
        objects_clear(&objects);
    }
    text_clear(&marker);
    text_clear(&seen);
    return ok;
}
