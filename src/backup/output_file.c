#include "backup/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/stop.h"
#include "crypto/random.h"
#include "stream/fd_stage.h"

static bool write_stream(const struct output_file *file, int fd, const char *name,
                         struct error *err)
{
    struct stage *out = fd_stage_new(fd, name, file->stall_ms, err);
    bool ok = out != NULL && file->produce(file->context, out, err);

    stage_free(out);
    return ok;
}

static bool write_file(const struct output_file *file, const char *partial, struct error *err)
{
    int fd = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0) {
        return error_set_system(err, errno, "creating %s", partial);
    }
    bool ok = write_stream(file, fd, file->path, err) && stop_check(err);
    if (ok && fsync(fd) != 0) {
        ok = error_set_system(err, errno, "writing %s to the disk", partial);
    }
    if (close(fd) != 0 && ok) {
        ok = error_set_system(err, errno, "closing %s", partial);
    }
    if (ok && rename(partial, file->path) != 0) {
        ok = error_set_system(err, errno, "renaming %s to %s", partial, file->path);
    }
    if (!ok) {
        unlink(partial);
    }
    return ok;
}

static bool write_special(const struct output_file *file, struct error *err)
{
    int fd = open(file->path, O_WRONLY | O_CLOEXEC);

    if (fd < 0) {
        return error_set_system(err, errno, "opening %s", file->path);
    }
    bool ok = write_stream(file, fd, file->path, err);
    if (close(fd) != 0 && ok) {
        ok = error_set_system(err, errno, "closing %s", file->path);
    }
    return ok;
}

bool output_file_is_replaced(const char *path)
{
    struct stat status;

    return strcmp(path, "-") != 0 && (stat(path, &status) != 0 || S_ISREG(status.st_mode));
}

bool output_file_write(const struct output_file *file, struct error *err)
{
    char partial[PATH_MAX];
    char unique[RANDOM_UUID_SIZE];
    struct stat status;

    if (strcmp(file->path, "-") == 0) {
        return write_stream(file, STDOUT_FILENO, "standard output", err);
    }
    if (stat(file->path, &status) == 0 && !S_ISREG(status.st_mode)) {
        return S_ISDIR(status.st_mode)
                   ? error_set(err, ERROR_USAGE, "--output %s is a folder; name a file", file->path)
                   : write_special(file, err);
    }
    if (!random_uuid(unique, err)) {
        return false;
    }
    if (snprintf(partial, sizeof(partial), "%s.%s.partial", file->path, unique) >=
        (int)sizeof(partial)) {
        return error_set(err, ERROR_USAGE, "--output: the path is too long");
    }
    return write_file(file, partial, err);
}
