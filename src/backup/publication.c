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
    publication->copies[publication->current].tried = true;
    return true;
}

int64_t publication_retain_ms(const struct publication *publication)
{
    return retention_left_ms(publication->retention_days, claim_elapsed_ms(publication->claim));
}

/* Of pg_dump's output there is none: nothing is known of its rows. */
static bool store_manifest(const struct publication *publication, struct store *store,
                           struct stream_digest *digest, struct error *err)
{
    const struct manifest manifest = {
        .name = publication->claim->name,
        .facts = &publication->facts,
        .snapshot_ms = publication->dump->snapshot_ms,
        .encoding = publication->encoding,
        .locale = publication->locale,
        .segments = &publication->dump->segments,
        .retain_ms = publication_retain_ms(publication),
        .scope = publication->dump->scope,
    };

    return !publication->facts.has_rows ||
           manifest_store(&manifest, store, &publication->manifest_metadata, digest, err);
}

static bool store_beside(void *publication, struct store *store, struct error *err)
{
    struct stream_digest digest;

    return store_manifest(publication, store, &digest, err);
}

static bool store_manifests(struct publication *publication, struct error *err)
{
    struct backup_facts *facts = &publication->facts;
    struct stream_digest digest = {.sha256 = ""};
    bool ok = true;

    for (size_t i = 0; ok && i < publication->stores->required_count; i++) {
        ok = store_manifest(publication, publication->stores->stores[i], &digest, err);
    }
    if (ok && facts->has_rows) {
        snprintf(facts->manifest_sha256, sizeof(facts->manifest_sha256), "%s", digest.sha256);
    }
    return ok;
}

static void tell_missing(const struct publication *publication, size_t index)
{
    const char *location = publication->stores->stores[index]->location;

    log_write(&LOG_WITH(LOG_WARNING, LOG_MARK_WARNING, "copy_missing",
                        LOG_TEXT("name", publication->claim->name), LOG_TEXT("store", location)),
              "Backup %s is not in %s: %s; the next check copies it there",
              publication->claim->name, location, publication->copies[index].problem.text);
}

/* The first commit decides. What fails after it is to be copied. */
static bool commit_required(struct publication *publication, struct fan_out *fan_out,
                            struct error *err)
{
    for (size_t i = 0; i < publication->stores->required_count; i++) {
        struct publication_copy *copy = &publication->copies[i];
        publication->current = i;
        if (fan_out_commit(fan_out, i, &publication->metadata, &copy->problem)) {
            copy->state = COPY_STORED;
        } else if (i == 0) {
            *err = copy->problem;
            return false;
        } else {
            copy->state = COPY_MISSING;
            tell_missing(publication, i);
        }
    }
    return true;
}

static void commit_rest(struct publication *publication, struct fan_out *fan_out)
{
    const struct store_choice *stores = publication->stores;
    const struct fan_out_publication rest = {
        .beside = store_beside, .context = publication, .metadata = &publication->metadata};

    struct error fenced = ERROR_INIT;

    if (stores->count == stores->required_count) {
        return;
    }
    /* The permits before were for the required ones (invariant I3). */
    bool ours = claim_confirm(publication->claim, &fenced);
    if (ours) {
        fan_out_commit_rest(fan_out, &rest);
    }
    for (size_t i = stores->required_count; i < stores->count; i++) {
        const struct error *failure = ours ? fan_out_failure(fan_out, i) : &fenced;
        publication->copies[i].state = failure == NULL ? COPY_STORED : COPY_MISSING;
        if (failure != NULL) {
            publication->copies[i].problem = *failure;
            tell_missing(publication, i);
        }
    }
}

bool publication_commit(struct publication *publication, struct fan_out *fan_out, struct error *err)
{
    /* The second time with the manifest's digest. */
    bool ok = backup_facts_format(&publication->facts, &publication->manifest_metadata, err) &&
              store_manifests(publication, err) &&
              backup_facts_format(&publication->facts, &publication->metadata, err) &&
              commit_required(publication, fan_out, err);

    if (ok) {
        commit_rest(publication, fan_out);
    }
    return ok;
}

size_t publication_missing(const struct publication *publication)
{
    size_t missing = 0;

    for (size_t i = 0; i < publication->stores->count; i++) {
        missing += publication->copies[i].state == COPY_MISSING;
    }
    return missing;
}

/* The published object of this run, asked for also after a stop; *found false, without an error,
 * when there is none. */
static bool find_own(const struct publication *publication, struct store *store,
                     struct object *object, bool *found, struct error *err)
{
    store_ignore_stop(store, true);
    bool ok = store_head(store, publication->claim->name, object, found, err);
    store_ignore_stop(store, false);
    *found = ok && *found && backup_object_has_run(object, publication->claim->run_id);
    return ok;
}

/* True when the store says that no object of this run is there. */
static bool is_nothing_published(const struct publication *publication, struct store *store)
{
    struct object object = OBJECT_INIT;
    struct error problem = ERROR_INIT;
    bool found = false;
    bool asked = find_own(publication, store, &object, &found, &problem);

    object_clear(&object);
    return asked && !found;
}

static void remove_manifest(const struct publication *publication, struct store *store)
{
    struct error problem = ERROR_INIT;

    store_ignore_stop(store, true);
    if (!manifest_remove(store, publication->claim->name, publication->claim->run_id, &problem)) {
        log_warning("manifest_not_removed", "%s", problem.text);
    }
    store_ignore_stop(store, false);
}

/* Nothing is published, or it may be in the first store: the others come after it. */
void publication_settle(struct publication *publication, bool *settled)
{
    const struct store_choice *stores = publication->stores;

    *settled =
        !publication->copies[0].tried || is_nothing_published(publication, stores->stores[0]);
    for (size_t i = 0; *settled && publication->facts.has_rows && i < stores->required_count; i++) {
        remove_manifest(publication, stores->stores[i]);
    }
}

static bool remove_own(const struct publication *publication, struct store *store,
                       struct error *err)
{
    struct object object = OBJECT_INIT;
    enum store_removal removal = STORE_WAS_GONE;
    bool found = false;
    bool ok = find_own(publication, store, &object, &found, err);

    if (ok && found) {
        store_ignore_stop(store, true);
        ok = manifest_remove_backup(store, &object, &removal, err);
        store_ignore_stop(store, false);
    }
    object_clear(&object);
    return ok && (removal == STORE_REMOVED || removal == STORE_WAS_GONE);
}

bool publication_withdraw(struct publication *publication, struct error *err)
{
    const struct store_choice *stores = publication->stores;
    bool gone = true;

    for (size_t i = 0; i < stores->count; i++) {
        struct error problem = ERROR_INIT;
        if (!remove_own(publication, stores->stores[i], &problem)) {
            gone = false;
            error_hint(err, "its object could not be removed: remove %s from %s by hand",
                       publication->claim->name, stores->stores[i]->location);
        }
    }
    return gone ? error_hint(err, "its object was removed again") : false;
}

void publication_clear(struct publication *publication)
{
    metadata_clear(&publication->manifest_metadata);
    metadata_clear(&publication->metadata);
}
