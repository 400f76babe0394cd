#include "store/file/file_store.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "store/file/file_download.h"
#include "store/file/file_folder.h"
#include "store/file/file_list.h"
#include "store/file/file_sidecar.h"
#include "store/file/file_upload.h"

/* Small enough for the processor's cache, large enough for few system calls. */
#define BLOCK_SIZE ((size_t)1024 * 1024)

struct file_store {
    struct store store;
    struct file_folder folder;
};

static struct file_folder *folder_of(struct store *store)
{
    return &((struct file_store *)store)->folder;
}

static bool open_existing(struct file_folder *folder, struct error *err)
{
    bool found;

    if (!file_folder_open(folder, &found, err)) {
        return false;
    }
    if (!found) {
        error_set(err, ERROR_FAILED, "the folder %s does not exist", folder->path);
        return error_hint(err, "the first backup makes it; is a file system not mounted?");
    }
    return true;
}

static bool file_store_list(struct store *store, const char *prefix, struct objects *out,
                            struct error *err)
{
    struct file_folder *folder = folder_of(store);
    bool found;

    if (!store->is_new) {
        return open_existing(folder, err) && file_list_all(folder, prefix, out, err);
    }
    return file_folder_open(folder, &found, err) &&
           (!found || file_list_all(folder, prefix, out, err));
}

static bool file_store_head(struct store *store, const char *name, struct object *out, bool *found,
                            struct error *err)
{
    struct file_folder *folder = folder_of(store);

    return file_folder_check_name(name, err) && open_existing(folder, err) &&
           file_list_head(folder, name, out, found, err);
}

/* With the lock held. The object goes first, durably: a visible object never lacks its sidecar. */
static bool remove_locked(const struct file_folder *folder, const struct object *object,
                          enum store_removal *result, struct error *err)
{
    char sidecar[FILE_FOLDER_NAME_SIZE];
    struct error ignored = ERROR_INIT;
    struct stat status;
    bool found;
    bool same;

    if (!file_folder_stat(folder, object->name, &status, &found, err) ||
        !file_list_is_still(folder, object, &same, err)) {
        return false;
    }
    if (!same) {
        *result = found ? STORE_CHANGED : STORE_WAS_GONE;
        return true;
    }
    if (!file_folder_unlink(folder, object->name, err) || !file_folder_sync(folder, err)) {
        return false;
    }
    *result = STORE_REMOVED;
    /* The object is gone whatever becomes of the sidecar, which a later listing removes. */
    if (file_sidecar_name(sidecar, object->name)) {
        file_folder_unlink(folder, sidecar, &ignored);
    }
    return true;
}

static bool file_store_remove(struct store *store, const struct object *object,
                              enum store_removal *result, struct error *err)
{
    struct file_folder *folder = folder_of(store);
    int lock = -1;
    bool ok = file_folder_check_name(object->name, err) && open_existing(folder, err) &&
              file_folder_lock(folder, true, &lock, err) &&
              remove_locked(folder, object, result, err);

    file_folder_unlock(lock);
    return ok;
}

static bool file_store_discard(struct store *store, const char *name, const char *run_id,
                               struct error *err)
{
    struct file_folder *folder = folder_of(store);
    bool found;

    if (!file_folder_open(folder, &found, err)) {
        return false;
    }
    return !found || file_upload_discard(folder, name, run_id, err);
}

/* A rename publishes all of it. */
static bool file_store_confirm(struct store *store, const struct object *object, const char *run_id,
                               bool *whole, struct error *err)
{
    (void)store;
    (void)object;
    (void)run_id;
    (void)err;
    *whole = true;
    return true;
}

static bool file_store_check_digest(struct store *store, const struct object *object, bool *same,
                                    struct error *err)
{
    struct file_folder *folder = folder_of(store);

    return open_existing(folder, err) && file_list_check_digest(store, folder, object, same, err);
}

static bool file_store_prepare(struct store *store, struct error *err)
{
    return file_folder_create(folder_of(store), err);
}

static bool file_store_upload_begin(struct store *store, const struct upload_options *options,
                                    struct upload **out, struct error *err)
{
    struct file_folder *folder = folder_of(store);

    return open_existing(folder, err) && file_upload_begin(store, folder, options, out, err);
}

static bool file_store_download_open(struct store *store, const struct object *object,
                                     struct download **out, struct error *err)
{
    struct file_folder *folder = folder_of(store);

    return file_folder_check_name(object->name, err) && open_existing(folder, err) &&
           file_download_open(store, folder, object, out, err);
}

static void file_store_close(struct store *store)
{
    file_folder_clear(folder_of(store));
    free(store->location);
    free(store);
}

static const struct store_ops file_store_ops = {
    .prepare = file_store_prepare,
    .list = file_store_list,
    .head = file_store_head,
    .remove = file_store_remove,
    .discard = file_store_discard,
    .confirm = file_store_confirm,
    .check_digest = file_store_check_digest,
    .upload_begin = file_store_upload_begin,
    .upload_block = file_upload_block,
    .upload_flush = file_upload_flush,
    .upload_commit = file_upload_commit,
    .upload_abandon = file_upload_abandon,
    .download_open = file_store_download_open,
    .download_read = file_download_read,
    .download_close = file_download_close,
    .close = file_store_close,
};

/* A slash at the end makes no other folder: the ledger compares locations. */
static char *format_location(const char *place)
{
    struct text location = TEXT_INIT(PATH_MAX * 3);
    size_t length = strlen(place);

    while (length > 1 && place[length - 1] == '/') {
        length--;
    }
    text_appendf(&location, "file://%.*s", (int)length, place);
    if (location.failed) {
        text_clear(&location);
    }
    return location.data;
}

static bool check_place(const char *place, char path[PATH_MAX], struct error *err)
{
    const char *problem = NULL;

    if (place[0] != '/') {
        problem = "the folder's path must be absolute";
    } else if (strchr(place, '#') != NULL) {
        problem = "a '?' or '#' in the path is written %3F or %23";
    } else if (!text_decode_percent(path, PATH_MAX, place)) {
        problem = "the path is too long, or a '%' in it is not followed by two hex digits";
    }
    if (problem == NULL) {
        return true;
    }
    return error_set(err, ERROR_CONFIG, "store 'file://%s': %s; write file:///DIR", place, problem);
}

static bool file_store_check(const struct store_url *url, struct error *err)
{
    char path[PATH_MAX];

    return check_place(url->place, path, err) &&
           (file_access_check(url, err) || error_prefix(err, "store file://%s", url->place));
}

static bool file_store_open(const struct store_url *url, const struct settings *settings,
                            struct store **out, struct error *err)
{
    char path[PATH_MAX];
    struct file_access access;

    (void)settings;
    if (!check_place(url->place, path, err)) {
        return false;
    }
    if (!file_access_parse(url, &access, err)) {
        return error_prefix(err, "store file://%s", url->place);
    }
    struct file_store *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return error_set_memory(err);
    }
    *self = (struct file_store){
        .store = {.ops = &file_store_ops,
                  .location = format_location(url->place),
                  .block_limits = {.first_size = BLOCK_SIZE,
                                   .most_size = BLOCK_SIZE,
                                   .most_blocks = UINT32_MAX}},
        .folder = {.path = text_copy(path), .fd = -1, .access = access},
    };
    if (self->store.location == NULL || self->folder.path == NULL) {
        file_store_close(&self->store);
        return error_set_memory(err);
    }
    *out = (struct store *)self;
    return true;
}

const struct store_kind file_store_kind = {
    .scheme = "file",
    .options = file_access_names,
    .check = file_store_check,
    .open = file_store_open,
};
