#include "metrics/textfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "metrics/exposition.h"

/* Longer than ticks take to look at every schedule anyway: what is written then is never old. */
#define STALE_S      (15 * 60)
#define LONGEST_PATH 4096

static bool is_configured(const struct settings *settings)
{
    return settings_get(settings, SETTING_PROMETHEUS_FILE) != NULL;
}

static bool is_stale(const struct settings *settings)
{
    struct stat status;
    time_t now = time(NULL);

    return stat(settings_get(settings, SETTING_PROMETHEUS_FILE), &status) != 0 ||
           now - status.st_mtime > STALE_S || status.st_mtime - now > STALE_S;
}

static bool check_path(const char *path, struct error *err)
{
    size_t length = strlen(path);

    if (path[0] != '/' || length < sizeof("/a.prom") - 1 ||
        strcmp(path + length - strlen(".prom"), ".prom") != 0) {
        error_set(err, ERROR_CONFIG,
                  "RYTHM_BACKUP_PROMETHEUS_FILE = '%s' is not an absolute path that ends in .prom",
                  path);
        return error_hint(err, "node_exporter reads only such files, in the folder of its "
                               "--collector.textfile.directory");
    }
    return true;
}

/* Readable by whoever node_exporter runs as, whatever our umask. */
static bool fill(int fd, const struct text *content, struct error *err)
{
    if (!file_write_all(fd, text_string(content), content->length, err)) {
        return false;
    }
    return (fchmod(fd, 0644) == 0 && fsync(fd) == 0) ||
           error_set_system(err, errno, "making it durable");
}

/* A process that died may have left a file of this name. */
static bool replace(const char *path, const struct text *content, struct error *err)
{
    struct text scratch = TEXT_INIT(LONGEST_PATH);
    bool ok = false;

    text_appendf(&scratch, "%s.%" PRIdMAX, path, (intmax_t)getpid());
    if (scratch.failed) {
        return error_set(err, ERROR_CONFIG, "writing %s: the path is too long", path);
    }
    const char *name = text_string(&scratch);
    unlink(name);
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        error_set_system(err, errno, "making %s", name);
        error_hint(err, "the folder must exist, and be writable for this user");
    } else {
        ok = fill(fd, content, err);
        close(fd);
        ok = ok && (rename(name, path) == 0 || error_set_system(err, errno, "renaming %s", name));
        if (!ok) {
            unlink(name);
            error_prefix(err, "writing %s", path);
        }
    }
    text_clear(&scratch);
    return ok;
}

static bool write_file(const struct settings *settings, const struct metrics_report *report,
                       const struct deadline *deadline, struct error *err)
{
    const char *path = settings_get(settings, SETTING_PROMETHEUS_FILE);
    struct text content = TEXT_INIT(EXPOSITION_CAP);

    (void)deadline;
    if (!check_path(path, err)) {
        return false;
    }
    if (!report->has_schedules) {
        return true;
    }
    exposition_append(&content, report);
    bool ok = content.failed ? error_set_memory(err) : replace(path, &content, err);
    text_clear(&content);
    return ok;
}

const struct exporter exporter_textfile = {
    .name = "the Prometheus file",
    .is_configured = is_configured,
    .is_stale = is_stale,
    .send = write_file,
};
