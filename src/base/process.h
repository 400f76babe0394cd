/*
 * A child process whose standard output we read and whose standard error we keep, bounded, for the
 * error message. No shell is ever involved.
 */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/wait.h"

#define PROCESS_STDERR_SIZE 4096

struct process {
    const char *name; /* for messages: the program's file name; the caller's argv[0] */
    pid_t pid;        /* 0: none */
    int out_fd;
    int err_fd;
    char stderr_text[PROCESS_STDERR_SIZE]; /* its first bytes; the rest is read and dropped */
    size_t stderr_length;
    bool leads_group;
    int exit_status; /* once process_finish() has seen it exit; -1: it did not */
};
#define PROCESS_INIT                                                                               \
    {                                                                                              \
        .out_fd = -1, .err_fd = -1, .exit_status = -1                                              \
    }

/* Starts argv[0] (a path) with the given environment and /dev/null as standard input. The child is
 * killed when the calling thread dies. argv must live as long as the process. */
bool process_start(struct process *process, char *const argv[], char *const envp[],
                   struct error *err);

/* The same in a process group of its own, which process_kill() ends as a whole; standard error is
 * standard output, too. */
bool process_start_group(struct process *process, char *const argv[], char *const envp[],
                         struct error *err);

/* Waits until there is output to read, or *ended: no more will come. Meanwhile standard error is
 * drained, so that a talkative child does not wait for us. */
bool process_await(struct process *process, const struct deadline *deadline, bool *ended,
                   struct error *err);

/* Reads some of its output. *got is 0 at the end of it. Meanwhile standard error is drained. */
bool process_read(struct process *process, void *buffer, size_t size,
                  const struct deadline *deadline, size_t *got, struct error *err);

/* Waits for the end. True only for exit status 0; otherwise the error gives the status or signal
 * and what the child said on standard error. */
bool process_finish(struct process *process, const struct deadline *deadline, struct error *err);

/* SIGTERM, a moment's grace, SIGKILL; then everything is closed. A group has the grace until its
 * first process has ended and its output too, and is killed as a whole, also when that process
 * ended by itself long ago. Harmless when nothing runs, or after process_finish() saw it end. */
void process_kill(struct process *process);

#endif
