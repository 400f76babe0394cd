#include "store/store_credentials.h"

#include <stdlib.h>

bool store_credentials_add(struct store_credentials *credentials,
                           const struct store_credential *credential, struct error *err)
{
    struct store_credential *items =
        reallocarray(credentials->items, credentials->count + 1, sizeof(*items));

    if (items == NULL) {
        return error_set_memory(err);
    }
    items[credentials->count++] = *credential;
    credentials->items = items;
    return true;
}

void store_credentials_clear(struct store_credentials *credentials)
{
    free(credentials->items);
    *credentials = (struct store_credentials){.items = NULL};
}
