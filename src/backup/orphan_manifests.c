#include "backup/orphan_manifests.h"

#include <stdlib.h>
#include <string.h>

#include "store/manifest.h"

#define AGE_MS (7 * INT64_C(86400000))

static int by_name(const void *left, const void *right)
{
    const struct object *const *a = left;
    const struct object *const *b = right;

    return strcmp((*a)->name, (*b)->name);
}

static bool has_backup(const struct object **sorted, size_t count, char *name)
{
    const struct object wanted = {.name = name};
    const struct object *key = &wanted;

    return bsearch(&key, sorted, count, sizeof(*sorted), by_name) != NULL;
}

static bool is_own(const struct object *manifest, const struct ledger *ledger)
{
    struct backup_facts facts = {.run_id = ""};

    return backup_facts_parse(&manifest->metadata, &facts) &&
           strcmp(facts.ledger, ledger->database) == 0 && strcmp(facts.system, ledger->system) == 0;
}

static bool is_old(const char *backup_name, int64_t now_ms)
{
    int64_t begun_ms = now_ms;

    return backup_name_parse(backup_name, &begun_ms) && begun_ms < now_ms - AGE_MS;
}

bool orphan_manifests_find(const struct objects *objects, const struct ledger *ledger,
                           int64_t now_ms, const struct object ***out, size_t *count,
                           struct error *err)
{
    const struct object **sorted = calloc(objects->count + 1, sizeof(*sorted));
    const struct object **found = calloc(objects->count + 1, sizeof(*found));
    size_t orphans = 0;

    if (sorted == NULL || found == NULL) {
        free(sorted);
        free(found);
        return error_set_memory(err);
    }
    for (size_t i = 0; i < objects->count; i++) {
        sorted[i] = &objects->items[i];
    }
    qsort(sorted, objects->count, sizeof(*sorted), by_name);
    for (size_t i = 0; i < objects->count; i++) {
        const struct object *object = &objects->items[i];
        char backup_name[BACKUP_NAME_SIZE];
        if (manifest_name_parse(object->name, backup_name) && is_old(backup_name, now_ms) &&
            !has_backup(sorted, objects->count, backup_name) && is_own(object, ledger)) {
            found[orphans++] = object;
        }
    }
    free(sorted);
    *out = found;
    *count = orphans;
    return true;
}
