#include "backup/publication.h"

#include <stdio.h>

#include "base/log.h"
#include "base/stop.h"
#include "retention/retention.h"
#include "store/manifest.h"

/* The stop comes last: one that came while the server was asked must still be heard. */
bool publication_permit(void *context, struct error *err)
{
    struct publication *publication = context;

    if (!claim_confirm(publication->claim, err) || !stop_check(err)) {
        return false;
    }
    publication->tried = true;
    return true;
}

int64_t publication_retain_ms(const struct publication *publication)
{
    return retention_left_ms(publication->retention_days, claim_elapsed_ms(publication->claim));
}

/* Of pg_dump's output there is none: nothing is known of its rows. */
static bool store_manifest(struct publication *publication, const struct metadata *metadata,
                           struct error *err)
{
    struct backup_facts *facts = &publication->facts;
    struct stream_digest digest;
    const struct manifest manifest = {
        .name = publication->claim->name,
        .facts = facts,
        .snapshot_ms = publication->dump->snapshot_ms,
        .encoding = publication->encoding,
        .segments = &publication->dump->segments,
        .retain_ms = publication_retain_ms(publication),
        .scope = publication->dump->scope,
    };

    if (!facts->has_rows) {
        return true;
    }
    if (!manifest_store(&manifest, publication->store, metadata, &digest, err)) {
        return false;
    }
    snprintf(facts->manifest_sha256, sizeof(facts->manifest_sha256), "%s", digest.sha256);
    return true;
}

bool publication_commit(struct publication *publication, struct upload *upload, struct error *err)
{
    struct metadata metadata = METADATA_INIT;
    /* The second time with the manifest's digest. */
    bool ok = backup_facts_format(&publication->facts, &metadata, err) &&
              store_manifest(publication, &metadata, err) &&
              backup_facts_format(&publication->facts, &metadata, err);

    if (ok) {
        ok = store_upload_commit(upload, &metadata, err);
    } else {
        store_upload_abandon(upload);
    }
    metadata_clear(&metadata);
    return ok;
}

/* The published object of this run, asked for also after a stop; *found false, without an error,
 * when there is none. */
static bool find_own(const struct publication *publication, struct object *object, bool *found,
                     struct error *err)
{
    store_ignore_stop(publication->store, true);
    bool ok = store_head(publication->store, publication->claim->name, object, found, err);
    store_ignore_stop(publication->store, false);
    *found = ok && *found && backup_object_has_run(object, publication->claim->run_id);
    return ok;
}

/* True when the store says that no object of this run is there. */
static bool is_nothing_published(const struct publication *publication)
{
    struct object object = OBJECT_INIT;
    struct error problem = ERROR_INIT;
    bool found = false;
    bool asked = find_own(publication, &object, &found, &problem);

    object_clear(&object);
    return asked && !found;
}

static void remove_manifest(const struct publication *publication)
{
    struct error problem = ERROR_INIT;

    store_ignore_stop(publication->store, true);
    if (!manifest_remove(publication->store, publication->claim->name, publication->claim->run_id,
                         &problem)) {
        log_warning("manifest_not_removed", "%s", problem.text);
    }
    store_ignore_stop(publication->store, false);
}

void publication_settle(struct publication *publication, bool *settled)
{
    *settled = !publication->tried || is_nothing_published(publication);
    if (*settled && publication->facts.has_rows) {
        remove_manifest(publication);
    }
}

static bool remove_own(const struct publication *publication, const struct object *object,
                       enum store_removal *removal, struct error *err)
{
    store_ignore_stop(publication->store, true);
    bool ok = manifest_remove_backup(publication->store, object, removal, err);
    store_ignore_stop(publication->store, false);
    return ok;
}

bool publication_withdraw(struct publication *publication, struct error *err)
{
    struct object object = OBJECT_INIT;
    struct error problem = ERROR_INIT;
    enum store_removal removal = STORE_WAS_GONE;
    bool found = false;
    bool gone = find_own(publication, &object, &found, &problem) &&
                (!found || remove_own(publication, &object, &removal, &problem));

    object_clear(&object);
    if (gone && (removal == STORE_REMOVED || removal == STORE_WAS_GONE)) {
        return error_hint(err, "its object was removed again");
    }
    return error_hint(err, "its object could not be removed: remove %s by hand",
                      publication->claim->name);
}
