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

bool backup_schemas_identify(char *const *schemas, char out[BACKUP_SCHEMAS_SIZE], struct error *err)
{
    unsigned char bytes[DIGEST_SHA256_SIZE];
    size_t count = 0;

    while (schemas != NULL && schemas[count] != NULL) {
        count++;
    }
    if (count == 0) {
        out[0] = '\0';
        return true;
    }
    const char **sorted = calloc(count, sizeof(*sorted));
    if (sorted == NULL) {
        return error_set_memory(err);
    }
    memcpy(sorted, schemas, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), in_order);
    struct digest *digest = digest_new(DIGEST_SHA256, err);
    bool ok = digest != NULL && digest_names(digest, sorted, count, err) &&
              digest_final(digest, bytes, err);
    digest_free(digest);
    free(sorted);
    if (ok) {
        digest_format_hex(out, bytes, (BACKUP_SCHEMAS_SIZE - 1) / 2);
    }
    return ok;
}
