#include "store/file/file_access.h"

#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

#define OPTION_MODE  "mode"
#define OPTION_OWNER "owner"
#define NAME_SIZE    64
#define MOST_ID      ((int64_t)UINT32_MAX - 1)

const char *const file_access_names[] = {OPTION_MODE, OPTION_OWNER, NULL};

/* What is written is read back, is no program, and is not for everybody to change. */
static bool parse_mode(const char *value, mode_t *mode, struct error *err)
{
    size_t length = strlen(value);

    if (length < 3 || length > 4 || strspn(value, "01234567") != length) {
        return error_set(err, ERROR_CONFIG,
                         "the option " OPTION_MODE " must be three or four octal digits, as in "
                         "0640");
    }
    *mode = (mode_t)strtoul(value, NULL, 8);
    if ((*mode & 0400) == 0 || (*mode & ~(mode_t)0664) != 0) {
        return error_set(err, ERROR_CONFIG,
                         "the option " OPTION_MODE " must let the owner read, nobody execute, and "
                         "others not write: 0600, 0640, 0644 or the like");
    }
    return true;
}

/* "USER", "USER:GROUP": *group is "" in the first. */
static bool split_owner(const char *value, char user[NAME_SIZE], char group[NAME_SIZE],
                        struct error *err)
{
    size_t length = strcspn(value, ":");
    const char *rest = value[length] == ':' ? value + length + 1 : "";
    bool bare_colon = value[length] == ':' && *rest == '\0';

    if (length == 0 || length >= NAME_SIZE || bare_colon || strlen(rest) >= NAME_SIZE ||
        strchr(rest, ':') != NULL || !text_is_printable_ascii(value) ||
        strpbrk(value, " /") != NULL) {
        return error_set(err, ERROR_CONFIG,
                         "the option " OPTION_OWNER " must be USER or USER:GROUP, by name or "
                         "number");
    }
    snprintf(user, NAME_SIZE, "%.*s", (int)length, value);
    snprintf(group, NAME_SIZE, "%s", rest);
    return true;
}

static bool find_user(const char *name, uid_t *out, struct error *err)
{
    const struct passwd *entry = getpwnam(name);
    int64_t number;

    if (entry == NULL && !text_parse_integer(name, 0, MOST_ID, &number)) {
        return error_set(err, ERROR_CONFIG,
                         "the option " OPTION_OWNER " names a user that this host does not know");
    }
    *out = entry != NULL ? entry->pw_uid : (uid_t)number;
    return true;
}

static bool find_group(const char *name, gid_t *out, struct error *err)
{
    const struct group *entry = getgrnam(name);
    int64_t number;

    if (entry == NULL && !text_parse_integer(name, 0, MOST_ID, &number)) {
        return error_set(err, ERROR_CONFIG,
                         "the option " OPTION_OWNER " names a group that this host does not know");
    }
    *out = entry != NULL ? entry->gr_gid : (gid_t)number;
    return true;
}

static bool parse(const struct store_url *url, struct file_access *out, char user[NAME_SIZE],
                  char group[NAME_SIZE], struct error *err)
{
    const char *mode = store_url_option(url, OPTION_MODE);
    const char *owner = store_url_option(url, OPTION_OWNER);

    *out = (struct file_access)FILE_ACCESS_DEFAULT;
    *user = '\0';
    *group = '\0';
    return (mode == NULL || parse_mode(mode, &out->mode, err)) &&
           (owner == NULL || split_owner(owner, user, group, err));
}

bool file_access_check(const struct store_url *url, struct error *err)
{
    struct file_access access;
    char user[NAME_SIZE];
    char group[NAME_SIZE];

    return parse(url, &access, user, group, err);
}

bool file_access_parse(const struct store_url *url, struct file_access *out, struct error *err)
{
    char user[NAME_SIZE];
    char group[NAME_SIZE];

    return parse(url, out, user, group, err) &&
           (*user == '\0' || find_user(user, &out->user, err)) &&
           (*group == '\0' || find_group(group, &out->group, err));
}

bool file_access_apply(const struct file_access *access, int fd, bool is_folder)
{
    const struct file_access usual = FILE_ACCESS_DEFAULT;
    /* Who may read files may pass through the folder; writing there is the owner's. */
    mode_t folder_mode = 0700 | (access->mode & 0044) | (access->mode & 0044) >> 2;

    return ((access->user == usual.user && access->group == usual.group) ||
            fchown(fd, access->user, access->group) == 0) &&
           (access->mode == usual.mode || fchmod(fd, is_folder ? folder_mode : access->mode) == 0);
}
