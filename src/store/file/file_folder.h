/*
 * The folder of a file store: its descriptor, the names that objects may have in it, and the lock
 * that publishing and removing take. Everything below is relative to the descriptor, so that a
 * folder that is moved or replaced under a running process cannot mix two folders up.
 */
#ifndef STORE_FILE_FILE_FOLDER_H
#define STORE_FILE_FILE_FOLDER_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/error.h"
#include "store/file/file_access.h"

struct file_folder {
    char *path;
    int fd; /* -1 until it is opened */
    struct file_access access;
};

/* Opens the folder unless it is open. *found = false, without an error, when there is none. */
bool file_folder_open(struct file_folder *folder, bool *found, struct error *err);
/* Makes the folder and its parents (mode 0700, the folder itself as `access` says; durably) where
 * they are missing, opens it, and checks that we may write to it. */
bool file_folder_create(struct file_folder *folder, struct error *err);
void file_folder_clear(struct file_folder *folder);

/* False with an error for a name that no object may have: one with a '/', a hidden one, one that is
 * a sidecar's (*.meta), or one too long to have a sidecar and a hidden partial file. */
#define FILE_FOLDER_NAME_MOST 200
bool file_folder_check_name(const char *name, struct error *err);

/* Room for an object's name with what is put around it. */
#define FILE_FOLDER_NAME_SIZE 256

/* *found = false, without an error, when there is no such file. Symbolic links are not followed. */
bool file_folder_stat(const struct file_folder *folder, const char *name, struct stat *status,
                      bool *found, struct error *err);
/* A file that is not there is a success. */
bool file_folder_unlink(const struct file_folder *folder, const char *name, struct error *err);
/* Makes what was created, renamed and removed so far durable. */
bool file_folder_sync(const struct file_folder *folder, struct error *err);

/* Takes the folder's lock against other processes, waiting a minute at most; a lock dies with its
 * process. With `wait` false a lock that is taken fails at once. */
bool file_folder_lock(const struct file_folder *folder, bool wait, int *lock, struct error *err);
void file_folder_unlock(int lock);

/* Gives a new file of ours, made with mode 0600, to whom it is for. */
bool file_folder_give(const struct file_folder *folder, int fd, const char *name,
                      struct error *err);

/* The error for a system call on a file in the folder; says what to do when the disk is full. */
bool file_folder_fail(const struct file_folder *folder, int errnum, const char *doing,
                      const char *name, struct error *err);

#endif
