#include "store/file/file_sidecar.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "store/metadata_json.h"

bool file_sidecar_name(char out[FILE_FOLDER_NAME_SIZE], const char *name)
{
    int length = snprintf(out, FILE_FOLDER_NAME_SIZE, "%s" FILE_SIDECAR_SUFFIX, name);

    return length > 0 && length < FILE_FOLDER_NAME_SIZE;
}

bool file_sidecar_write(const struct file_folder *folder, const char *file_name,
                        const struct metadata *metadata, struct error *err)
{
    char *text = metadata_json_format(metadata);
    bool ok = false;
    int fd = -1;

    if (text == NULL) {
        error_set_memory(err);
        goto done;
    }
    fd = openat(folder->fd, file_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        file_folder_fail(folder, errno, "creating", file_name, err);
        goto done;
    }
    if (!file_folder_give(folder, fd, file_name, err)) {
        goto done;
    }
    if (!file_write_all(fd, text, strlen(text), err) || !file_write_all(fd, "\n", 1, err) ||
        fsync(fd) != 0) {
        file_folder_fail(folder, errno, "writing", file_name, err);
        goto done;
    }
    ok = true;

done:
    if (fd >= 0) {
        close(fd);
    }
    free(text);
    return ok;
}

static bool read_capped(int fd, struct text *out)
{
    char buffer[4096];
    ssize_t got;

    while ((got = read(fd, buffer, sizeof(buffer))) != 0) {
        if (got < 0 && errno != EINTR) {
            return false;
        }
        if (got > 0) {
            text_append_bytes(out, buffer, (size_t)got);
        }
        if (out->failed) {
            break;
        }
    }
    return true;
}

bool file_sidecar_read(const struct file_folder *folder, const char *name, struct metadata *out,
                       enum file_sidecar_state *state, struct error *err)
{
    char sidecar[FILE_FOLDER_NAME_SIZE];
    struct text content = TEXT_INIT(METADATA_JSON_CAP);
    struct stat status;
    bool ok = true;

    *state = FILE_SIDECAR_MISSING;
    if (!file_sidecar_name(sidecar, name)) {
        return true;
    }
    /* O_NONBLOCK: opening a FIFO must not hang. */
    int fd = openat(folder->fd, sidecar, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        return true;
    }
    *state = FILE_SIDECAR_DAMAGED;
    if (fd < 0 && errno == ELOOP) {
        return true;
    }
    if (fd < 0 || fstat(fd, &status) != 0) {
        ok = file_folder_fail(folder, errno, "opening", sidecar, err);
    } else if (S_ISREG(status.st_mode) && status.st_size > 0 &&
               status.st_size <= METADATA_JSON_CAP) {
        bool good = false;
        ok = read_capped(fd, &content);
        if (!ok) {
            file_folder_fail(folder, errno, "reading", sidecar, err);
        } else if (content.failed) {
            ok = error_set_memory(err);
        } else {
            ok = metadata_json_parse(text_string(&content), content.length, out, &good, err);
        }
        *state = good ? FILE_SIDECAR_GOOD : FILE_SIDECAR_DAMAGED;
    }
    if (fd >= 0) {
        close(fd);
    }
    text_clear(&content);
    return ok;
}

bool file_sidecar_remove_orphan(const struct file_folder *folder, const char *name,
                                const char *run_id, struct error *err)
{
    char sidecar[FILE_FOLDER_NAME_SIZE];
    struct metadata metadata = METADATA_INIT;
    enum file_sidecar_state state;
    struct stat status;
    bool found;

    if (!file_folder_stat(folder, name, &status, &found, err)) {
        return false;
    }
    if (found) {
        return true;
    }
    if (!file_sidecar_read(folder, name, &metadata, &state, err)) {
        return false;
    }
    const char *run = metadata_get(&metadata, "run");
    /* A file of that name that does not say so may be anybody's. */
    bool ours = run != NULL && strcmp(run, run_id) == 0;
    bool ok =
        !ours || !file_sidecar_name(sidecar, name) || file_folder_unlink(folder, sidecar, err);
    metadata_clear(&metadata);
    return ok;
}
