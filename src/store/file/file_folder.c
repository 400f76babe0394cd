#include "store/file/file_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/text.h"
#include "base/wait.h"

#define LOCK_NAME      ".rythm-backup.lock"
#define LOCK_WAIT_MS   60000
#define LOCK_STEP_MS   20
#define DIRECTORY_MODE 0700

bool file_folder_fail(const struct file_folder *folder, int errnum, const char *doing,
                      const char *name, struct error *err)
{
    error_set_system(err, errnum, "%s %s in the folder %s", doing, name, folder->path);
    if (errnum == ENOSPC || errnum == EDQUOT) {
        return error_hint(err, "make room there, or choose another store");
    }
    return false;
}

bool file_folder_open(struct file_folder *folder, bool *found, struct error *err)
{
    if (folder->fd < 0) {
        folder->fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    *found = folder->fd >= 0;
    if (folder->fd < 0 && errno != ENOENT) {
        return error_set_system(err, errno, "opening the folder %s", folder->path);
    }
    return true;
}

/* A new folder must outlive a power cut as its files do. */
static bool make_directory(int parent, const char *name)
{
    if (mkdirat(parent, name, DIRECTORY_MODE) != 0) {
        /* Another process may have been faster. */
        return errno == EEXIST;
    }
    int fd = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) {
        int errnum = errno;
        close(fd);
        errno = errnum;
    }
    return ok;
}

/* Goes down one step; O_PATH, because parents may be passable without being readable. *made: it
 * was not there. */
static int enter(int parent, const char *name, bool *made)
{
    int flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
    int fd = openat(parent, name, flags);

    *made = fd < 0 && errno == ENOENT && make_directory(parent, name);
    if (*made) {
        fd = openat(parent, name, flags);
    }
    return fd;
}

/* *made: its last folder was not there. */
static bool make_path(const char *path, bool *made, struct error *err)
{
    char *copy = text_copy(path);
    char *rest = copy;
    int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    bool ok = false;

    if (copy == NULL) {
        error_set_memory(err);
        goto done;
    }
    for (char *name; fd >= 0 && (name = strsep(&rest, "/")) != NULL;) {
        if (*name == '\0') {
            continue;
        }
        int next = enter(fd, name, made);
        int errnum = errno;
        close(fd);
        errno = errnum;
        fd = next;
    }
    if (fd < 0) {
        error_set_system(err, errno, "making the folder %s", path);
        goto done;
    }
    ok = true;

done:
    if (fd >= 0) {
        close(fd);
    }
    free(copy);
    return ok;
}

static bool refuse_access(struct error *err)
{
    err->kind = ERROR_CONFIG;
    return error_hint(err, "the store's options mode and owner ask for it: only root may give a "
                           "file to another user, and others only to a group of their own");
}

bool file_folder_give(const struct file_folder *folder, int fd, const char *name, struct error *err)
{
    if (file_access_apply(&folder->access, fd, false)) {
        return true;
    }
    file_folder_fail(folder, errno, "setting mode and owner of", name, err);
    return refuse_access(err);
}

bool file_folder_create(struct file_folder *folder, struct error *err)
{
    bool found;
    bool made = false;

    if (!make_path(folder->path, &made, err) || !file_folder_open(folder, &found, err)) {
        return false;
    }
    if (!found) {
        return error_set(err, ERROR_FAILED, "the folder %s was removed while it was being opened",
                         folder->path);
    }
    if (made && !file_access_apply(&folder->access, folder->fd, true)) {
        error_set_system(err, errno, "setting mode and owner of the folder %s", folder->path);
        return refuse_access(err);
    }
    if (faccessat(folder->fd, ".", R_OK | W_OK | X_OK, AT_EACCESS) != 0) {
        error_set_system(err, errno, "the folder %s cannot be written to", folder->path);
        err->kind = ERROR_CONFIG;
        return error_hint(err, "give it to the user that runs the backups");
    }
    return true;
}

void file_folder_clear(struct file_folder *folder)
{
    if (folder->fd >= 0) {
        close(folder->fd);
        folder->fd = -1;
    }
    free(folder->path);
    folder->path = NULL;
}

static bool ends_in(const char *name, const char *suffix)
{
    size_t length = strlen(name);
    size_t tail = strlen(suffix);

    return length >= tail && strcmp(name + length - tail, suffix) == 0;
}

bool file_folder_check_name(const char *name, struct error *err)
{
    if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL ||
        strlen(name) > FILE_FOLDER_NAME_MOST || ends_in(name, ".meta")) {
        return error_set(err, ERROR_FAILED, "'%s' cannot be the name of an object in a folder",
                         name);
    }
    return true;
}

bool file_folder_stat(const struct file_folder *folder, const char *name, struct stat *status,
                      bool *found, struct error *err)
{
    *found = fstatat(folder->fd, name, status, AT_SYMLINK_NOFOLLOW) == 0;
    if (!*found && errno != ENOENT) {
        return file_folder_fail(folder, errno, "examining", name, err);
    }
    return true;
}

bool file_folder_unlink(const struct file_folder *folder, const char *name, struct error *err)
{
    if (unlinkat(folder->fd, name, 0) != 0 && errno != ENOENT) {
        return file_folder_fail(folder, errno, "removing", name, err);
    }
    return true;
}

bool file_folder_sync(const struct file_folder *folder, struct error *err)
{
    if (fsync(folder->fd) != 0) {
        return error_set_system(err, errno, "making the changes in the folder %s durable",
                                folder->path);
    }
    return true;
}

bool file_folder_lock(const struct file_folder *folder, bool wait, int *lock, struct error *err)
{
    struct deadline deadline = deadline_cleanup_in_ms(LOCK_WAIT_MS);
    /* A file of its own: NFS locks no folders. It stays, empty: removing it would let two
     * processes lock two files of that name. */
    int fd = openat(folder->fd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0) {
        return file_folder_fail(folder, errno, "opening", LOCK_NAME, err);
    }
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        struct deadline step = deadline_cleanup_in_ms(LOCK_STEP_MS);
        if (errno == EINTR) {
            continue;
        }
        if (errno != EWOULDBLOCK) {
            file_folder_fail(folder, errno, "locking", LOCK_NAME, err);
            goto failed;
        }
        if (!wait || deadline_left_ms(&deadline) == 0) {
            error_set(err, ERROR_FAILED, "another process holds the lock of the folder %s",
                      folder->path);
            err->retryable = true;
            goto failed;
        }
        if (!wait_until(&step, err)) {
            goto failed;
        }
    }
    *lock = fd;
    return true;

failed:
    close(fd);
    return false;
}

void file_folder_unlock(int lock)
{
    if (lock >= 0) {
        close(lock);
    }
}
