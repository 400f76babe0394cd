#include "dump/pg_dump.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/process.h"
#include "base/settings.h"
#include "base/wait.h"

#define VERSION_LIMIT_MS (20 * 1000)
#define NEWEST_MAJOR     40

/* Where packages put each major version, which stands between the two parts: Debian, PGDG's RPMs,
 * Homebrew, Alpine. */
static const struct {
    const char *before;
    const char *after;
} versioned_folders[] = {
    {"/usr/lib/postgresql/", "/bin/pg_dump"},
    {"/usr/pgsql-", "/bin/pg_dump"},
    {"/opt/homebrew/opt/postgresql@", "/bin/pg_dump"},
    {"/usr/libexec/postgresql", "/pg_dump"},
};
#define FOLDER_COUNT (sizeof(versioned_folders) / sizeof(versioned_folders[0]))

int pg_dump_parse_version(const char *line, int *minor)
{
    int major = 0;
    int after = 0;

    if (sscanf(line, "pg_dump (PostgreSQL) %d.%d", &major, &after) < 1 || major < 1 ||
        major > 999) {
        return 0;
    }
    if (minor != NULL) {
        *minor = after;
    }
    return major;
}

bool pg_dump_version_has_restrict(int major, int minor)
{
    /* The releases of 14 August 2025 (release notes, CVE-2025-8714). */
    static const struct {
        int major;
        int since_minor;
    } releases[] = {{13, 22}, {14, 19}, {15, 14}, {16, 10}, {17, 6}};

    for (size_t i = 0; i < sizeof(releases) / sizeof(releases[0]); i++) {
        if (releases[i].major == major) {
            return minor >= releases[i].since_minor;
        }
    }
    return major > releases[sizeof(releases) / sizeof(releases[0]) - 1].major;
}

bool pg_dump_version_has_large_objects_in_data(int major)
{
    /* Release notes of 17, "pg_dump ... large numbers of large objects". */
    return major >= 17;
}

/* Asks the program itself. */
static bool ask_version(const char *path, int *major, int *minor, struct error *err)
{
    char program[PATH_MAX];
    char option[] = "--version";
    char *argv[] = {program, option, NULL};
    char line[256] = "";
    size_t length = 0;
    size_t got = 0;
    struct process process = PROCESS_INIT;
    struct deadline deadline = deadline_in_ms(VERSION_LIMIT_MS);

    snprintf(program, sizeof(program), "%s", path);
    const char *nothing[] = {NULL};
    char **environment = settings_child_environment(nothing, err);
    bool ok = environment != NULL && process_start(&process, argv, environment, err);
    free(environment);
    if (!ok) {
        return false;
    }
    while ((ok = process_read(&process, line + length, sizeof(line) - 1 - length, &deadline, &got,
                              err)) &&
           got > 0) {
        length += got;
        if (length == sizeof(line) - 1) {
            break;
        }
    }
    line[length] = '\0';
    if (!ok || !process_finish(&process, &deadline, err)) {
        process_kill(&process);
        return error_prefix(err, "asking %s for its version", path);
    }
    *major = pg_dump_parse_version(line, minor);
    if (*major == 0) {
        return error_set(err, ERROR_CONFIG,
                         "asking %s for its version: it does not answer as pg_dump does", path);
    }
    return true;
}

static bool take(const char *path, int major, struct pg_dump *out)
{
    snprintf(out->path, sizeof(out->path), "%s", path);
    out->major = major;
    return true;
}

static bool find_versioned(int major, struct pg_dump *out)
{
    char path[PATH_MAX];

    for (size_t i = 0; i < FOLDER_COUNT; i++) {
        snprintf(path, sizeof(path), "%s%d%s", versioned_folders[i].before, major,
                 versioned_folders[i].after);
        if (access(path, X_OK) == 0) {
            return take(path, major, out);
        }
    }
    return false;
}

/* The first pg_dump in PATH, or false. Debian's is a script that picks a version by itself. */
static bool find_in_path(char out[PATH_MAX])
{
    const char *folders = getenv("PATH");

    while (folders != NULL && *folders != '\0') {
        int length = (int)strcspn(folders, ":");
        if (length > 0 && snprintf(out, PATH_MAX, "%.*s/pg_dump", length, folders) < PATH_MAX &&
            access(out, X_OK) == 0) {
            return true;
        }
        folders += length;
        folders += *folders == ':';
    }
    return false;
}

static bool too_old(const char *path, int major, int server_major, struct error *err)
{
    error_set(err, ERROR_CONFIG,
              "%s is version %d and cannot dump this server, which is version %d", path, major,
              server_major);
    return error_hint(err,
                      "install the package postgresql-client-%d, or set RYTHM_BACKUP_PG_DUMP to a "
                      "pg_dump of version %d or newer",
                      server_major, server_major);
}

static bool find_configured(const char *path, int server_major, struct pg_dump *out,
                            struct error *err)
{
    int major = 0;

    if (access(path, X_OK) != 0) {
        return error_set(err, ERROR_CONFIG,
                         "RYTHM_BACKUP_PG_DUMP = '%s' is not a program that can be run", path);
    }
    if (!ask_version(path, &major, NULL, err)) {
        return false;
    }
    return major < server_major ? too_old(path, major, server_major, err) : take(path, major, out);
}

bool pg_dump_find(const char *configured, int server_version, struct pg_dump *out,
                  struct error *err)
{
    char path[PATH_MAX];
    int server_major = server_version / 10000;
    int major = 0;

    if (configured != NULL) {
        return find_configured(configured, server_major, out, err);
    }
    if (find_versioned(server_major, out)) {
        return true;
    }
    bool in_path = find_in_path(path);
    if (in_path && !ask_version(path, &major, NULL, err)) {
        return false;
    }
    if (in_path && major >= server_major) {
        return take(path, major, out);
    }
    for (int newer = server_major + 1; newer <= NEWEST_MAJOR; newer++) {
        if (find_versioned(newer, out)) {
            return true;
        }
    }
    if (in_path) {
        return too_old(path, major, server_major, err);
    }
    error_set(err, ERROR_CONFIG, "there is no pg_dump in PATH or in the usual folders");
    return error_hint(err, "install the package postgresql-client-%d, or set RYTHM_BACKUP_PG_DUMP",
                      server_major);
}

bool pg_dump_has_restrict(const struct pg_dump *tool, bool *has, struct error *err)
{
    int major = 0;
    int minor = 0;

    if (!ask_version(tool->path, &major, &minor, err)) {
        return false;
    }
    *has = pg_dump_version_has_restrict(major, minor);
    return true;
}
