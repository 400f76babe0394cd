#include "backup/export.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/progress.h"
#include "base/stop.h"
#include "crypto/random.h"
#include "dump/dump.h"
#include "stream/fd_stage.h"

static bool write_stream(const struct export_request *request, int fd, const char *name,
                         struct stream_digest *written, struct error *err)
{
    struct progress progress;
    struct dump_options dump = {
        .session = request->session,
        .settings = request->settings,
        .compression = request->compression,
        .restrict_key = request->restrict_key,
        .progress = progress_update,
        .progress_context = &progress,
    };
    struct dump_result result = DUMP_RESULT_INIT;
    struct stage *stream = fd_stage_new(
        fd, name, settings_get_number(request->settings, SETTING_STALL_TIMEOUT) * 1000, err);

    if (stream != NULL) {
        stream = digest_stage_new(written, stream, err);
    }
    if (stream == NULL) {
        return false;
    }
    progress_begin(&progress, "Dumping", 0, request->show_progress);
    bool ok = dump_run(&dump, stream, &result, err) && stage_finish(stream, err);
    progress_end(&progress);
    dump_result_clear(&result);
    stage_free(stream);
    return ok;
}

static bool write_file(const struct export_request *request, const char *partial,
                       struct stream_digest *written, struct error *err)
{
    int fd = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0) {
        return error_set_system(err, errno, "creating %s", partial);
    }
    bool ok = write_stream(request, fd, request->path, written, err) && stop_check(err);
    if (ok && fsync(fd) != 0) {
        ok = error_set_system(err, errno, "writing %s to the disk", partial);
    }
    if (close(fd) != 0 && ok) {
        ok = error_set_system(err, errno, "closing %s", partial);
    }
    if (ok && rename(partial, request->path) != 0) {
        ok = error_set_system(err, errno, "renaming %s to %s", partial, request->path);
    }
    if (!ok) {
        unlink(partial);
    }
    return ok;
}

static bool write_special(const struct export_request *request, struct stream_digest *written,
                          struct error *err)
{
    int fd = open(request->path, O_WRONLY | O_CLOEXEC);

    if (fd < 0) {
        return error_set_system(err, errno, "opening %s", request->path);
    }
    bool ok = write_stream(request, fd, request->path, written, err);
    if (close(fd) != 0 && ok) {
        ok = error_set_system(err, errno, "closing %s", request->path);
    }
    return ok;
}

bool export_run(const struct export_request *request, struct stream_digest *written,
                struct error *err)
{
    char partial[PATH_MAX];
    struct stat status;

    if (strcmp(request->path, "-") == 0) {
        if (isatty(STDOUT_FILENO) == 1 && request->compression.method != COMPRESSION_NONE) {
            error_set(err, ERROR_USAGE, "a compressed dump is not written to a terminal");
            return error_hint(err, "redirect the output, or give --compression none");
        }
        return write_stream(request, STDOUT_FILENO, "standard output", written, err);
    }
    if (stat(request->path, &status) == 0 && !S_ISREG(status.st_mode)) {
        if (S_ISDIR(status.st_mode)) {
            return error_set(err, ERROR_USAGE, "--output %s is a folder; name a file",
                             request->path);
        }
        return write_special(request, written, err);
    }
    char unique[RANDOM_UUID_SIZE];
    if (!random_uuid(unique, err)) {
        return false;
    }
    if (snprintf(partial, sizeof(partial), "%s.%s.partial", request->path, unique) >=
        (int)sizeof(partial)) {
        return error_set(err, ERROR_USAGE, "--output: the path is too long");
    }
    return write_file(request, partial, written, err);
}
