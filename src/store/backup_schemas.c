#include "store/backup_schemas.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/digest.h"

static int in_order(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static bool digest_names(struct digest *digest, const char *const *sorted, size_t count,
                         struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        bool again = i > 0 && strcmp(sorted[i], sorted[i - 1]) == 0;
        if (!again && !digest_update(digest, sorted[i], strlen(sorted[i]) + 1, err)) {
            return false;
        }
    }
    return true;
}

static bool digest_list(struct digest *digest, const struct scope *scope, enum scope_list list,
                        struct error *err)
{
    char *const *names = scope->lists[list];
    const char *key = scope_key(list);
    size_t count = 0;

    while (names != NULL && names[count] != NULL) {
        count++;
    }
    if (count == 0) {
        return true;
    }
    const char **sorted = calloc(count, sizeof(*sorted));
    if (sorted == NULL) {
        return error_set_memory(err);
    }
    memcpy(sorted, names, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), in_order);
    /* No name is empty. */
    bool ok = (list == SCOPE_SCHEMAS || (digest_update(digest, "", 1, err) &&
                                         digest_update(digest, key, strlen(key) + 1, err))) &&
              digest_names(digest, sorted, count, err);
    free(sorted);
    return ok;
}

bool backup_schemas_identify(const struct scope *scope, char out[BACKUP_SCHEMAS_SIZE],
                             struct error *err)
{
    unsigned char bytes[DIGEST_SHA256_SIZE];

    if (scope_is_whole(scope)) {
        out[0] = '\0';
        return true;
    }
    struct digest *digest = digest_new(DIGEST_SHA256, err);
    bool ok = digest != NULL;
    for (int i = 0; ok && i < SCOPE_LISTS; i++) {
        ok = digest_list(digest, scope, (enum scope_list)i, err);
    }
    ok = ok && digest_final(digest, bytes, err);
    digest_free(digest);
    if (ok) {
        digest_format_hex(out, bytes, (BACKUP_SCHEMAS_SIZE - 1) / 2);
    }
    return ok;
}
