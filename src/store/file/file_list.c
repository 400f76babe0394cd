#include "store/file/file_list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/stop.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "store/file/file_sidecar.h"

#define ETAG_SIZE     112
#define EXAMINE_TRIES 5
#define READ_SIZE     ((size_t)256 * 1024)

static void format_etag(char out[ETAG_SIZE], const struct stat *status)
{
    snprintf(out, ETAG_SIZE, "%ju-%ju-%jd%09ld-%jd", (uintmax_t)status->st_dev,
             (uintmax_t)status->st_ino, (intmax_t)status->st_mtim.tv_sec, status->st_mtim.tv_nsec,
             (intmax_t)status->st_size);
}

/* Fills in all but the metadata. *found = false for what is not an object. */
static bool examine_file(const struct file_folder *folder, const char *name, struct object *out,
                         bool *found, struct error *err)
{
    struct stat status;
    char etag[ETAG_SIZE];

    if (!file_folder_stat(folder, name, &status, found, err)) {
        return false;
    }
    *found = *found && S_ISREG(status.st_mode);
    if (!*found) {
        return true;
    }
    format_etag(etag, &status);
    out->name = text_copy(name);
    out->etag = text_copy(etag);
    if (out->name == NULL || out->etag == NULL) {
        return error_set_memory(err);
    }
    out->bytes = (uint64_t)status.st_size;
    out->modified_ms = (int64_t)status.st_mtim.tv_sec * 1000 + status.st_mtim.tv_nsec / 1000000;
    return true;
}

static bool read_metadata(const struct file_folder *folder, const char *name, struct metadata *out,
                          struct error *err)
{
    enum file_sidecar_state state;

    if (!file_sidecar_read(folder, name, out, &state, err)) {
        return false;
    }
    /* Without any value an uncompressed backup would pass for one of the old service's. */
    return state != FILE_SIDECAR_DAMAGED || metadata_set(out, "sidecar", "damaged", err);
}

bool file_list_matches(const struct stat *status, const struct object *object)
{
    char etag[ETAG_SIZE];

    format_etag(etag, status);
    return S_ISREG(status->st_mode) && strcmp(etag, object->etag) == 0;
}

bool file_list_is_still(const struct file_folder *folder, const struct object *object, bool *same,
                        struct error *err)
{
    struct stat status;

    if (!file_folder_stat(folder, object->name, &status, same, err)) {
        return false;
    }
    *same = *same && file_list_matches(&status, object);
    return true;
}

/* An object and its sidecar are two files: another process may remove both between our looks. */
bool file_list_head(const struct file_folder *folder, const char *name, struct object *out,
                    bool *found, struct error *err)
{
    for (int i = 0; i < EXAMINE_TRIES; i++) {
        struct object object = OBJECT_INIT;
        bool same = false;
        if (!examine_file(folder, name, &object, found, err) ||
            (*found && (!read_metadata(folder, name, &object.metadata, err) ||
                        !file_list_is_still(folder, &object, &same, err)))) {
            object_clear(&object);
            return false;
        }
        if (!*found || same) {
            *out = object;
            return true;
        }
        object_clear(&object);
    }
    return error_set(err, ERROR_FAILED, "%s in the folder %s keeps changing", name, folder->path);
}

static bool has_suffix(const char *name, const char *suffix)
{
    size_t length = strlen(name);
    size_t tail = strlen(suffix);

    return length > tail && strcmp(name + length - tail, suffix) == 0;
}

static bool take_entry(const struct file_folder *folder, const char *name, const char *prefix,
                       struct objects *objects, struct error *err)
{
    struct object object = OBJECT_INIT;
    bool found;

    /* A sidecar without its object stays: the object may have been moved away for a while. */
    if (name[0] == '.' || strncmp(name, prefix, strlen(prefix)) != 0 ||
        has_suffix(name, FILE_SIDECAR_SUFFIX)) {
        return true;
    }
    if (!file_list_head(folder, name, &object, &found, err)) {
        return false;
    }
    if (found && !objects_add(objects, &object, err)) {
        object_clear(&object);
        return false;
    }
    return true;
}

static DIR *open_entries(const struct file_folder *folder, struct error *err)
{
    /* A descriptor of its own: reading moves its offset and closedir() closes it. */
    int fd = openat(folder->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd >= 0 ? fdopendir(fd) : NULL;

    if (entries == NULL) {
        error_set_system(err, errno, "opening the folder %s", folder->path);
        if (fd >= 0) {
            close(fd);
        }
    }
    return entries;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(((const struct object *)left)->name, ((const struct object *)right)->name);
}

bool file_list_all(const struct file_folder *folder, const char *prefix, struct objects *out,
                   struct error *err)
{
    struct objects objects = OBJECTS_INIT;
    DIR *entries = open_entries(folder, err);
    bool ok = entries != NULL;

    while (ok) {
        errno = 0;
        const struct dirent *entry = readdir(entries);
        if (entry == NULL) {
            ok = errno == 0 || error_set_system(err, errno, "reading the folder %s", folder->path);
            break;
        }
        ok = take_entry(folder, entry->d_name, prefix, &objects, err);
    }
    if (entries != NULL) {
        closedir(entries);
    }
    if (!ok) {
        objects_clear(&objects);
        return false;
    }
    if (objects.count > 0) {
        qsort(objects.items, objects.count, sizeof(*objects.items), compare_names);
    }
    *out = objects;
    return true;
}

static bool digest_file(struct store *store, const struct file_folder *folder, const char *name,
                        int fd, char hex[DIGEST_HEX_SIZE(DIGEST_SHA256_SIZE)], struct error *err)
{
    unsigned char sha256[DIGEST_SHA256_SIZE];
    struct digest *digest = digest_new(DIGEST_SHA256, err);
    char *buffer = malloc(READ_SIZE);
    ssize_t got = 1;
    bool ok = digest != NULL && (buffer != NULL || error_set_memory(err));

    while (ok && got != 0) {
        store_step(store);
        got = read(fd, buffer, READ_SIZE);
        if (got < 0) {
            ok = errno == EINTR || file_folder_fail(folder, errno, "reading", name, err);
        } else {
            ok = stop_check(err) && digest_update(digest, buffer, (size_t)got, err);
        }
    }
    ok = ok && digest_final(digest, sha256, err);
    if (ok) {
        digest_format_hex(hex, sha256, sizeof(sha256));
    }
    digest_free(digest);
    free(buffer);
    return ok;
}

bool file_list_check_digest(struct store *store, const struct file_folder *folder,
                            const struct object *object, bool *same, struct error *err)
{
    char hex[DIGEST_HEX_SIZE(DIGEST_SHA256_SIZE)];
    const char *announced = metadata_get(&object->metadata, "sha256");
    int fd = openat(folder->fd, object->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0) {
        return file_folder_fail(folder, errno, "opening", object->name, err);
    }
    bool ok = digest_file(store, folder, object->name, fd, hex, err);
    close(fd);
    if (ok) {
        *same = announced != NULL && strcmp(announced, hex) == 0;
    }
    return ok;
}
