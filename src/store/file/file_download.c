#include "store/file/file_download.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/stop.h"
#include "base/text.h"
#include "store/file/file_list.h"

/* By one system call: a stop, and that it is given up, are heard in between. */
#define READ_MOST ((size_t)4 * 1024 * 1024)

struct file_download {
    struct download download;
    const struct file_folder *folder;
    struct object object; /* name and etag */
    int fd;
};

static bool refuse_changed(const struct file_download *self, bool found, struct error *err)
{
    return error_set(err, ERROR_FAILED, "%s in the folder %s was %s meanwhile", self->object.name,
                     self->folder->path, found ? "replaced or changed" : "removed");
}

static bool open_file(struct file_download *self, struct error *err)
{
    struct stat status;

    /* O_NONBLOCK: opening a FIFO must not hang. */
    self->fd =
        openat(self->folder->fd, self->object.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (self->fd < 0 && (errno == ENOENT || errno == ELOOP)) {
        return refuse_changed(self, errno == ELOOP, err);
    }
    if (self->fd < 0 || fstat(self->fd, &status) != 0) {
        return file_folder_fail(self->folder, errno, "opening", self->object.name, err);
    }
    return file_list_matches(&status, &self->object) || refuse_changed(self, true, err);
}

static void end(struct file_download *self)
{
    if (self->fd >= 0) {
        close(self->fd);
    }
    object_clear(&self->object);
    free(self);
}

bool file_download_open(struct store *store, const struct file_folder *folder,
                        const struct object *object, struct download **out, struct error *err)
{
    struct file_download *self = calloc(1, sizeof(*self));

    if (self == NULL) {
        return error_set_memory(err);
    }
    *self = (struct file_download){
        .download = {.store = store, .bytes = object->bytes},
        .folder = folder,
        .object = {.name = text_copy(object->name), .etag = text_copy(object->etag)},
        .fd = -1,
    };
    if (self->object.name == NULL || self->object.etag == NULL) {
        error_set_memory(err);
        goto failed;
    }
    if (!open_file(self, err)) {
        goto failed;
    }
    *out = (struct download *)self;
    return true;

failed:
    end(self);
    return false;
}

static bool read_all(const struct file_download *self, uint64_t offset, char *buffer, size_t size,
                     struct error *err)
{
    for (size_t done = 0; done < size;) {
        size_t most = size - done < READ_MOST ? size - done : READ_MOST;
        if (!stop_check(err)) {
            return false;
        }
        if (atomic_load(&self->download.cancelled)) {
            return error_set(err, ERROR_STOPPED, "reading was given up");
        }
        ssize_t got = pread(self->fd, buffer + done, most, (off_t)(offset + done));
        if (got < 0 && errno != EINTR) {
            return file_folder_fail(self->folder, errno, "reading", self->object.name, err);
        }
        if (got == 0) {
            return error_set(
                err, ERROR_FAILED,
                "reading %s in the folder %s: it ended after %" PRIu64 " of %" PRIu64 " bytes",
                self->object.name, self->folder->path, offset + done, self->download.bytes);
        }
        done += got > 0 ? (size_t)got : 0;
    }
    return true;
}

/* Looked at after the bytes were read: they are those of the object that it was until now. */
static bool check_unchanged(const struct file_download *self, struct error *err)
{
    struct stat status;
    bool found;

    if (!file_folder_stat(self->folder, self->object.name, &status, &found, err)) {
        return false;
    }
    return (found && file_list_matches(&status, &self->object)) || refuse_changed(self, found, err);
}

bool file_download_read(struct download *download, uint64_t offset, void *buffer, size_t size,
                        struct error *err)
{
    const struct file_download *self = (const struct file_download *)download;

    return read_all(self, offset, buffer, size, err) && check_unchanged(self, err);
}

void file_download_close(struct download *download)
{
    end((struct file_download *)download);
}
