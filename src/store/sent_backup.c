#include "store/sent_backup.h"

#include "store/manifest.h"

static bool withdraw(struct store *store, const struct object *object, struct error *err)
{
    enum store_removal removal = STORE_CHANGED;

    if (!manifest_remove_backup(store, object, &removal, err)) {
        return error_prefix(err, "removing it, for it is not what was sent");
    }
    if (removal != STORE_REMOVED && removal != STORE_WAS_GONE) {
        return error_set(err, ERROR_FAILED,
                         "it is not what was sent, and the store does not let it go; do not "
                         "restore from it");
    }
    return true;
}

bool sent_backup_parse(const struct object *object, struct backup_object *backup, struct error *err)
{
    return backup_object_parse(object, backup) ||
           error_set(err, ERROR_FAILED,
                     "it bears this run's id, but its length or metadata are not what this version "
                     "writes; look at it, and remove it if it is no good");
}

bool sent_backup_examine(struct store *store, const struct object *object, const char *run_id,
                         struct backup_object *backup, bool *whole, struct error *err)
{
    *whole = false;
    if (!sent_backup_parse(object, backup, err)) {
        return false;
    }
    return store_confirm(store, object, run_id, whole, err) &&
           (!*whole || store_check_digest(store, object, whole, err)) &&
           (*whole || withdraw(store, object, err));
}
