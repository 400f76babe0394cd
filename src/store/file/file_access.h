/*
 * Who may read what a file store writes: the options mode=OCTAL and owner=USER[:GROUP] of its URL.
 * They hold for objects, sidecars and manifests, and for a folder that is made.
 */
#ifndef STORE_FILE_FILE_ACCESS_H
#define STORE_FILE_FILE_ACCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "store/store_url.h"

struct file_access {
    mode_t mode; /* of files */
    uid_t user;  /* (uid_t)-1: whoever runs the program */
    gid_t group; /* (gid_t)-1: as the system makes it */
};
/* For the owner alone, and nobody else is the owner. */
#define FILE_ACCESS_DEFAULT                                                                        \
    {                                                                                              \
        .mode = 0600, .user = (uid_t)-1, .group = (gid_t)-1                                        \
    }

/* The names of the URL's options, ending with NULL. */
extern const char *const file_access_names[];

/* The form of the options alone. */
bool file_access_check(const struct store_url *url, struct error *err);
/* The options, with the names of user and group looked up on this host. */
bool file_access_parse(const struct store_url *url, struct file_access *out, struct error *err);

/* For a file that we have just made with mode 0600, or a folder with mode 0700. False with errno.
 */
bool file_access_apply(const struct file_access *access, int fd, bool is_folder);

#endif
