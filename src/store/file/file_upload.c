#include "config.h"

#include "store/file/file_upload.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/stop.h"
#include "store/file/file_sidecar.h"

#define RUN_ID_LENGTH    16
#define WRITE_BACK_BYTES (UINT64_C(8) * 1024 * 1024)

/* The hidden files of one run's upload. */
struct hidden_names {
    char partial[FILE_FOLDER_NAME_SIZE];
    char sidecar[FILE_FOLDER_NAME_SIZE];
};

struct file_upload {
    struct upload upload;
    const struct file_folder *folder;
    char name[FILE_FOLDER_NAME_MOST + 1];
    struct hidden_names hidden;
    int fd;
    uint64_t bytes;
    uint64_t written_back; /* write-back was asked for up to here */
    bool flushed;
    bool failed; /* the kernel reports a lost write once: a second fsync would succeed */
};

static bool name_hidden(struct hidden_names *out, const char *name, const char *run_id,
                        struct error *err)
{
    if (!file_folder_check_name(name, err)) {
        return false;
    }
    if (strlen(run_id) != RUN_ID_LENGTH || strspn(run_id, "0123456789abcdef") != RUN_ID_LENGTH) {
        return error_set(err, ERROR_FAILED, "'%s' is not a run id: 16 hex digits", run_id);
    }
    snprintf(out->partial, sizeof(out->partial), ".%.*s.%.*s.partial", FILE_FOLDER_NAME_MOST, name,
             RUN_ID_LENGTH, run_id);
    snprintf(out->sidecar, sizeof(out->sidecar), ".%.*s.%.*s" FILE_SIDECAR_SUFFIX,
             FILE_FOLDER_NAME_MOST, name, RUN_ID_LENGTH, run_id);
    return true;
}

static bool refuse_existing(const struct file_upload *self, struct error *err)
{
    error_set(err, ERROR_FAILED, "%s already exists in the folder %s", self->name,
              self->folder->path);
    return error_hint(err, "nothing was overwritten");
}

static bool check_unused(const struct file_upload *self, struct error *err)
{
    struct stat status;
    bool found;

    if (!file_folder_stat(self->folder, self->name, &status, &found, err)) {
        return false;
    }
    return !found || refuse_existing(self, err);
}

bool file_upload_begin(struct store *store, const struct file_folder *folder,
                       const struct upload_options *options, struct upload **out, struct error *err)
{
    struct file_upload *self = calloc(1, sizeof(*self));

    if (self == NULL) {
        return error_set_memory(err);
    }
    *self = (struct file_upload){.upload = {.store = store}, .folder = folder, .fd = -1};
    if (!name_hidden(&self->hidden, options->name, options->run_id, err)) {
        goto failed;
    }
    memcpy(self->name, options->name, strlen(options->name) + 1);
    if (!check_unused(self, err)) {
        goto failed;
    }
    self->fd = openat(folder->fd, self->hidden.partial,
                      O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (self->fd < 0) {
        file_folder_fail(folder, errno, "creating", self->hidden.partial, err);
        goto failed;
    }
    if (!file_folder_give(folder, self->fd, self->hidden.partial, err)) {
        unlinkat(folder->fd, self->hidden.partial, 0);
        close(self->fd);
        goto failed;
    }
    *out = (struct upload *)self;
    return true;

failed:
    free(self);
    return false;
}

/* Keeps the disk busy while the dump goes on, so that little is left for the fsync at the end. Only
 * a hint: fsync reports what went wrong. */
static void start_write_back(struct file_upload *self)
{
    if (self->bytes - self->written_back < WRITE_BACK_BYTES) {
        return;
    }
#ifdef HAVE_SYNC_FILE_RANGE
    sync_file_range(self->fd, (off_t)self->written_back, (off_t)(self->bytes - self->written_back),
                    SYNC_FILE_RANGE_WRITE);
#endif
    self->written_back = self->bytes;
}

bool file_upload_block(struct upload *upload, struct block *block, struct error *err)
{
    struct file_upload *self = (struct file_upload *)upload;

    if (block->offset != self->bytes) {
        return error_set(err, ERROR_FAILED,
                         "block %" PRIu32 " of %s begins at %" PRIu64 " instead of %" PRIu64,
                         block->index, self->name, block->offset, self->bytes);
    }
    self->flushed = false;
    if (!file_write_all(self->fd, block->data, block->size, err)) {
        self->failed = true;
        return file_folder_fail(self->folder, errno, "writing", self->hidden.partial, err);
    }
    self->bytes += block->size;
    start_write_back(self);
    return true;
}

bool file_upload_flush(struct upload *upload, struct error *err)
{
    struct file_upload *self = (struct file_upload *)upload;

    if (self->failed) {
        return error_set(err, ERROR_FAILED, "%s was not written whole", self->hidden.partial);
    }
    if (!self->flushed && fsync(self->fd) != 0) {
        self->failed = true;
        return file_folder_fail(self->folder, errno, "writing", self->hidden.partial, err);
    }
    self->flushed = true;
    return true;
}

/* A rename that cannot replace; false with errno. */
static bool rename_new(int folder, const char *from, const char *to)
{
    if (renameat2(folder, from, folder, to, RENAME_NOREPLACE) == 0) {
        return true;
    }
    if (errno != EINVAL && errno != ENOSYS) {
        return false;
    }
    /* A file system, or a kernel, without it: link() does not replace either. The hidden name goes
     * when the upload ends. */
    return linkat(folder, from, folder, to, 0) == 0;
}

/* With the lock held. The sidecar is durable before the object can be seen: a crash in between
 * leaves one that means nothing. */
static bool publish(struct file_upload *self, struct error *err)
{
    const struct file_folder *folder = self->folder;
    char sidecar[FILE_FOLDER_NAME_SIZE];
    struct error ignored = ERROR_INIT;

    if (!check_unused(self, err)) {
        return false;
    }
    if (!file_sidecar_name(sidecar, self->name) ||
        renameat(folder->fd, self->hidden.sidecar, folder->fd, sidecar) != 0) {
        return file_folder_fail(folder, errno, "publishing the metadata of", self->name, err);
    }
    if (!file_folder_sync(folder, err)) {
        goto failed;
    }
    if (!rename_new(folder->fd, self->hidden.partial, self->name)) {
        if (errno == EEXIST) {
            refuse_existing(self, err);
        } else {
            file_folder_fail(folder, errno, "publishing", self->name, err);
        }
        goto failed;
    }
    return file_folder_sync(folder, err);

failed:
    file_folder_unlink(folder, sidecar, &ignored);
    return false;
}

static bool may_publish(const struct file_upload *self, struct error *err)
{
    return self->upload.permit == NULL || self->upload.permit(self->upload.permit_context, err);
}

static bool publish_locked(struct file_upload *self, struct error *err)
{
    int lock = -1;
    bool ok = file_folder_lock(self->folder, true, &lock, err) && stop_check(err) &&
              may_publish(self, err) && publish(self, err);

    file_folder_unlock(lock);
    return ok;
}

/* Invariant I3: what stands under the name now is this file, with all that was written. */
static bool check_published(const struct file_upload *self, struct error *err)
{
    struct stat ours;
    struct stat published;
    bool found;

    if (!file_folder_stat(self->folder, self->name, &published, &found, err)) {
        return false;
    }
    if (fstat(self->fd, &ours) != 0) {
        return file_folder_fail(self->folder, errno, "examining", self->name, err);
    }
    if (!found || published.st_dev != ours.st_dev || published.st_ino != ours.st_ino ||
        (uint64_t)published.st_size != self->bytes) {
        return error_set(err, ERROR_FAILED,
                         "%s in the folder %s is not the file of %" PRIu64
                         " bytes that was published",
                         self->name, self->folder->path, self->bytes);
    }
    return true;
}

static void end(struct file_upload *self)
{
    struct error ignored = ERROR_INIT;

    close(self->fd);
    file_folder_unlink(self->folder, self->hidden.partial, &ignored);
    file_folder_unlink(self->folder, self->hidden.sidecar, &ignored);
    free(self);
}

bool file_upload_commit(struct upload *upload, const struct metadata *metadata, struct error *err)
{
    struct file_upload *self = (struct file_upload *)upload;
    bool ok = file_upload_flush(upload, err) &&
              file_sidecar_write(self->folder, self->hidden.sidecar, metadata, err) &&
              publish_locked(self, err) && check_published(self, err);

    end(self);
    return ok;
}

void file_upload_abandon(struct upload *upload)
{
    if (upload != NULL) {
        end((struct file_upload *)upload);
    }
}

bool file_upload_discard(const struct file_folder *folder, const char *name, const char *run_id,
                         struct error *err)
{
    struct hidden_names hidden;
    int lock = -1;

    if (!name_hidden(&hidden, name, run_id, err) || !file_folder_lock(folder, true, &lock, err)) {
        return false;
    }
    bool ok = file_folder_unlink(folder, hidden.partial, err) &&
              file_folder_unlink(folder, hidden.sidecar, err) &&
              file_sidecar_remove_orphan(folder, name, run_id, err);
    file_folder_unlock(lock);
    return ok;
}
