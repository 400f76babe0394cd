#include "backup/orphan_manifests.h"

#include <stdio.h>
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

static bool is_there(const struct object **sorted, size_t count, char *name)
{
    const struct object wanted = {.name = name};
    const struct object *key = &wanted;

    return bsearch(&key, sorted, count, sizeof(*sorted), by_name) != NULL;
}

static bool is_own(const struct object *object, const struct ledger *ledger)
{
    struct backup_facts facts = {.run_id = ""};

    return backup_facts_parse(&object->metadata, &facts) &&
           strcmp(facts.ledger, ledger->database) == 0 && strcmp(facts.system, ledger->system) == 0;
}

static bool is_old(const char *backup_name, int64_t now_ms)
{
    int64_t begun_ms = now_ms;

    return backup_name_parse(backup_name, &begun_ms) && begun_ms < now_ms - AGE_MS;
}

/* What it stands beside, a backup or a manifest, and the backup that both are of. */
static bool parse_name(const char *name, char owner[MANIFEST_NAME_SIZE],
                       char backup_name[BACKUP_NAME_SIZE])
{
    size_t length = metadata_owner_length(name);
    int64_t begun_ms;

    if (manifest_name_parse(name, backup_name)) {
        snprintf(owner, MANIFEST_NAME_SIZE, "%s", backup_name);
        return true;
    }
    if (length == 0 || length >= MANIFEST_NAME_SIZE) {
        return false;
    }
    snprintf(owner, MANIFEST_NAME_SIZE, "%.*s", (int)length, name);
    if (manifest_name_parse(owner, backup_name)) {
        return true;
    }
    snprintf(backup_name, BACKUP_NAME_SIZE, "%.*s", BACKUP_NAME_SIZE - 1, owner);
    return backup_name_parse(owner, &begun_ms);
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
        char owner[MANIFEST_NAME_SIZE];
        char backup_name[BACKUP_NAME_SIZE];
        if (parse_name(object->name, owner, backup_name) && is_old(backup_name, now_ms) &&
            !is_there(sorted, objects->count, owner) && is_own(object, ledger)) {
            found[orphans++] = object;
        }
    }
    free(sorted);
    *out = found;
    *count = orphans;
    return true;
}
