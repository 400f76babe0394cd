#include "store/backup_copy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "store/manifest.h"
#include "stream/digest_stage.h"

#define PIECE_SIZE ((size_t)1024 * 1024)

static bool pass_bytes(struct store *from, const struct object *object, struct stage *stage,
                       struct error *err)
{
    struct download *download = NULL;
    unsigned char *piece = malloc(PIECE_SIZE);
    uint64_t offset = 0;

    if (piece == NULL) {
        return error_set_memory(err);
    }
    bool ok = store_download_open(from, object, &download, err);
    while (ok && offset < object->bytes) {
        uint64_t left = object->bytes - offset;
        size_t size = left < PIECE_SIZE ? (size_t)left : PIECE_SIZE;
        ok = stop_check(err) && store_download_read(download, offset, piece, size, err) &&
             stage_write(stage, piece, size, err);
        offset += size;
    }
    store_download_close(download);
    free(piece);
    return ok && stage_finish(stage, err);
}

/* With sha256 "" the bytes are not known beforehand. */
static bool send(const struct backup_copy *copy, const struct object *object, const char *sha256,
                 struct upload *upload, struct error *err)
{
    struct stream_digest digest = {.bytes = 0};
    struct stage *stage = digest_stage_new(&digest, store_upload_stage_new(upload, err), err);
    bool ok = stage != NULL && pass_bytes(copy->from, object, stage, err);

    stage_free(stage);
    if (ok && *sha256 != '\0' && strcmp(digest.sha256, sha256) != 0) {
        ok =
            error_set(err, ERROR_DAMAGED, "its SHA-256 is %s instead of %s", digest.sha256, sha256);
    }
    return ok;
}

static bool copy_object(const struct backup_copy *copy, const struct object *object,
                        const char *sha256, upload_permit permit, struct error *err)
{
    const struct upload_options options = {
        .name = object->name,
        .run_id = copy->backup->facts.run_id,
        .parallel = copy->parallel,
        .retain_ms = copy->retain_ms,
        .permit = permit,
        .permit_context = copy->permit_context,
    };
    struct upload *upload = NULL;

    if (!store_upload_begin(copy->to, &options, &upload, err)) {
        return false;
    }
    if (!send(copy, object, sha256, upload, err)) {
        store_upload_abandon(upload);
        return error_prefix(err, "copying %s from %s", object->name, copy->from->location);
    }
    return store_upload_commit(upload, &object->metadata, err);
}

static bool copy_manifest(const struct backup_copy *copy, struct error *err)
{
    const struct backup_facts *facts = &copy->backup->facts;
    char name[MANIFEST_NAME_SIZE];
    struct object object = OBJECT_INIT;
    bool found = false;

    manifest_name(name, copy->backup->object->name);
    bool ok = store_head(copy->from, name, &object, &found, err) &&
              manifest_remove(copy->to, copy->backup->object->name, facts->run_id, err);
    if (ok && found && backup_object_has_run(&object, facts->run_id)) {
        ok = copy_object(copy, &object, facts->manifest_sha256, NULL, err);
    } else if (ok && facts->manifest_sha256[0] != '\0') {
        ok = error_set(err, ERROR_DAMAGED, "its manifest is not in %s any more",
                       copy->from->location);
    }
    object_clear(&object);
    return ok;
}

bool backup_copy_run(const struct backup_copy *copy, struct error *err)
{
    const struct backup_object *backup = copy->backup;
    const char *name = backup->object->name;

    return store_discard(copy->to, name, backup->facts.run_id, err) && copy_manifest(copy, err) &&
           copy_object(copy, backup->object, backup->facts.sha256, copy->permit, err);
}
