#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static bool read_all(int fd, const char *path, size_t cap, struct text *out, struct error *err)
{
    char buffer[8192];
    ssize_t got;

    while ((got = read(fd, buffer, sizeof(buffer))) != 0) {
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return error_set_system(err, errno, "reading %s", path);
        }
        if (out->length + (size_t)got > cap) {
            return error_set(err, ERROR_CONFIG, "reading %s: longer than the %zu bytes allowed",
                             path, cap);
        }
        text_append_bytes(out, buffer, (size_t)got);
    }
    return out->failed ? error_set_memory(err) : true;
}

bool file_read(const char *path, size_t cap, struct text *out, bool *found, struct stat *status,
               struct error *err)
{
    struct stat own;
    bool ok = false;

    if (status == NULL) {
        status = &own;
    }
    *found = false;
    /* O_NONBLOCK: opening a FIFO must not hang. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT) {
        return true;
    }
    if (fd < 0) {
        return error_set_system(err, errno, "opening %s", path);
    }
    *found = true;
    if (fstat(fd, status) != 0) {
        error_set_system(err, errno, "examining %s", path);
    } else if (!S_ISREG(status->st_mode)) {
        error_set(err, ERROR_CONFIG, "%s is not a regular file", path);
    } else {
        ok = read_all(fd, path, cap, out, err);
    }
    close(fd);
    return ok;
}

bool file_write_all(int fd, const void *data, size_t size, struct error *err)
{
    const char *at = data;

    while (size > 0) {
        ssize_t written = write(fd, at, size);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            int errnum = errno;
            error_set_system(err, errnum, "writing %zu bytes", size);
            errno = errnum;
            return false;
        }
        at += written;
        size -= (size_t)written;
    }
    return true;
}

bool file_hold_standard_descriptors(struct error *err)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) {
            continue;
        }
        /* The lowest free number is this one. */
        if (open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd) {
            return error_set_system(err, errno, "opening /dev/null");
        }
    }
    return true;
}
