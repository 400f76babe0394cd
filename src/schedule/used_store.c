#include "schedule/used_store.h"

#include "postgres/backup_history.h"

bool used_store_prepare(struct session *session, struct store *store, struct error *err)
{
    bool used = false;

    return backup_history_used_store(session, store->location, &used, err) &&
           (used || store_prepare(store, err));
}
