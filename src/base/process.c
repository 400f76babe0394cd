#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/redact.h"
#include "base/text.h"

#define GRACE_MS     2000
#define POLL_STEP_MS 10
#define PIPE_SIZE    (1024 * 1024)
#define EXEC_FAILED  127

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

/* Between fork and exec only async-signal-safe calls. The parent's signal set-up must not leak:
 * handlers vanish with exec, ignored signals would not. */
__attribute__((noreturn)) static void become(char *const argv[], char *const envp[], int null_fd,
                                             int out_fd, int err_fd, bool leads_group, pid_t parent)
{
    struct sigaction fallback = {.sa_handler = SIG_DFL};
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    sigaction(SIGPIPE, &fallback, NULL);
    sigaction(SIGXFSZ, &fallback, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (leads_group) {
        setpgid(0, 0);
    }
    if (getppid() == parent && dup2(null_fd, STDIN_FILENO) >= 0 &&
        dup2(out_fd, STDOUT_FILENO) >= 0 && dup2(err_fd, STDERR_FILENO) >= 0) {
        execve(argv[0], argv, envp);
    }
    const char *reason = strerrorname_np(errno);
    ssize_t ignored = write(err_fd, "cannot be executed: ", 20);
    ignored += write(err_fd, reason != NULL ? reason : "?", reason != NULL ? strlen(reason) : 1);
    (void)ignored;
    _exit(EXEC_FAILED);
}

static bool start(struct process *process, char *const argv[], char *const envp[], bool as_group,
                  struct error *err)
{
    int out[2] = {-1, -1};
    int problem[2] = {-1, -1};
    pid_t parent = getpid();
    const char *slash = strrchr(argv[0], '/');

    *process = (struct process)PROCESS_INIT;
    process->leads_group = as_group;
    process->name = slash != NULL ? slash + 1 : argv[0];
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null_fd < 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(problem, O_CLOEXEC) != 0) {
        error_set_system(err, errno, "starting %s", process->name);
        goto failed;
    }
    /* A larger pipe means fewer switches between the two; the default does when it is refused. */
    fcntl(out[1], F_SETPIPE_SZ, PIPE_SIZE);
    fcntl(problem[0], F_SETFL, O_NONBLOCK);
    process->pid = fork();
    if (process->pid < 0) {
        process->pid = 0;
        error_set_system(err, errno, "starting %s", process->name);
        goto failed;
    }
    if (process->pid == 0) {
        become(argv, envp, null_fd, out[1], as_group ? out[1] : problem[1], as_group, parent);
    }
    if (as_group) {
        /* Whoever comes first: it must be so before anybody is killed. */
        setpgid(process->pid, process->pid);
        close_fd(&problem[0]);
    }
    close(null_fd);
    close(out[1]);
    close(problem[1]);
    process->out_fd = out[0];
    process->err_fd = problem[0];
    return true;

failed:
    close_fd(&null_fd);
    close_fd(&out[0]);
    close_fd(&out[1]);
    close_fd(&problem[0]);
    close_fd(&problem[1]);
    return false;
}

bool process_start(struct process *process, char *const argv[], char *const envp[],
                   struct error *err)
{
    return start(process, argv, envp, false, err);
}

bool process_start_group(struct process *process, char *const argv[], char *const envp[],
                         struct error *err)
{
    return start(process, argv, envp, true, err);
}

static void drain_stderr(struct process *process)
{
    char buffer[1024];
    ssize_t got;

    while ((got = read(process->err_fd, buffer, sizeof(buffer))) > 0) {
        size_t room = sizeof(process->stderr_text) - 1 - process->stderr_length;
        size_t kept = (size_t)got < room ? (size_t)got : room;
        memcpy(process->stderr_text + process->stderr_length, buffer, kept);
        process->stderr_length += kept;
        process->stderr_text[process->stderr_length] = '\0';
    }
    if (got == 0) {
        close_fd(&process->err_fd);
    }
}

bool process_await(struct process *process, const struct deadline *deadline, bool *ended,
                   struct error *err)
{
    short events = 0;

    while (events == 0) {
        struct wait_fd fds[2] = {{.fd = process->out_fd, .events = POLLIN},
                                 {.fd = process->err_fd, .events = POLLIN}};
        if (!wait_for(fds, 2, deadline, err)) {
            return error_prefix(err, "reading the output of %s", process->name);
        }
        if (fds[1].revents != 0) {
            drain_stderr(process);
        }
        events = fds[0].revents;
    }
    *ended = (events & POLLIN) == 0;
    return true;
}

bool process_read(struct process *process, void *buffer, size_t size,
                  const struct deadline *deadline, size_t *got, struct error *err)
{
    bool ended;

    for (;;) {
        if (!process_await(process, deadline, &ended, err)) {
            return false;
        }
        ssize_t count = read(process->out_fd, buffer, size);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return error_set_system(err, errno, "reading the output of %s", process->name);
        }
        *got = (size_t)count;
        return true;
    }
}

/* It stays a zombie, so that nobody else and no other group can get its number. False with errno.
 */
static bool ask_whether_ended(const struct process *process, bool *ended)
{
    siginfo_t info = {.si_pid = 0};
    bool ok = waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;

    *ended = ok && info.si_pid == process->pid;
    return ok;
}

/* For a kernel without pidfd_open(2), and for valgrind. */
static bool wait_in_steps(struct process *process, const struct deadline *deadline,
                          struct error *err)
{
    for (;;) {
        bool ended;
        struct deadline step = deadline_in_ms(POLL_STEP_MS);
        if (!ask_whether_ended(process, &ended)) {
            return error_set_system(err, errno, "waiting for %s", process->name);
        }
        if (ended) {
            return true;
        }
        drain_stderr(process);
        step.ignore_stop = deadline->ignore_stop;
        if (deadline_left_ms(deadline) == 0) {
            wait_for(NULL, 0, deadline, err);
            return error_prefix(err, "waiting for %s to end", process->name);
        }
        if (!wait_until(&step, err)) {
            return error_prefix(err, "waiting for %s to end", process->name);
        }
    }
}

/* Waits for the child itself, on a descriptor for it (pidfd_open(2), Linux 5.3). */
static bool wait_for_exit(struct process *process, const struct deadline *deadline,
                          struct error *err)
{
    int pid_fd = (int)syscall(SYS_pidfd_open, process->pid, 0);

    /* Old kernels do not have it, and some containers forbid it. */
    if (pid_fd < 0) {
        return wait_in_steps(process, deadline, err);
    }
    struct wait_fd fds[2] = {{.fd = pid_fd, .events = POLLIN},
                             {.fd = process->err_fd, .events = POLLIN}};
    bool ok;
    while ((ok = wait_for(fds, 2, deadline, err)) && fds[0].revents == 0) {
        drain_stderr(process);
        fds[1].fd = process->err_fd;
    }
    close(pid_fd);
    return ok ? true : error_prefix(err, "waiting for %s to end", process->name);
}

static bool judge(struct process *process, int status, struct error *err)
{
    const char *said = process->stderr_length > 0 ? process->stderr_text : "it printed no reason";

    if (process->stderr_length == sizeof(process->stderr_text) - 1) {
        redact_cut(process->stderr_text);
    }

    process->exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (process->exit_status == 0) {
        return true;
    }
    if (WIFEXITED(status)) {
        return error_set(err, ERROR_FAILED, "%s failed with exit status %d: %s", process->name,
                         WEXITSTATUS(status), said);
    }
    return error_set(err, ERROR_FAILED, "%s was killed by SIG%s: %s", process->name,
                     sigabbrev_np(WTERMSIG(status)), said);
}

/* False with errno. */
static bool reap(struct process *process, int *status)
{
    while (waitpid(process->pid, status, 0) < 0) {
        if (errno != EINTR) {
            return false;
        }
    }
    process->pid = 0;
    return true;
}

bool process_finish(struct process *process, const struct deadline *deadline, struct error *err)
{
    int status = 0;

    close_fd(&process->out_fd);
    if (!wait_for_exit(process, deadline, err)) {
        return false;
    }
    if (!reap(process, &status)) {
        return error_set_system(err, errno, "waiting for %s", process->name);
    }
    if (process->err_fd >= 0) {
        drain_stderr(process);
        close_fd(&process->err_fd);
    }
    return judge(process, status, err);
}

/* Waits a moment for output, and drops it: who is to end must not wait for a reader. */
static void drop_output(struct process *process)
{
    char buffer[4096];
    struct pollfd out = {.fd = process->out_fd, .events = POLLIN};

    if (poll(&out, 1, POLL_STEP_MS) > 0 && read(process->out_fd, buffer, sizeof(buffer)) <= 0) {
        close_fd(&process->out_fd);
    }
}

void process_kill(struct process *process)
{
    struct deadline grace = deadline_in_ms(GRACE_MS);
    bool ended = false;

    close_fd(&process->err_fd);
    if (process->pid == 0 || !process->leads_group) {
        close_fd(&process->out_fd);
    }
    if (process->pid == 0) {
        return;
    }
    pid_t whom = process->leads_group ? -process->pid : process->pid;
    kill(whom, SIGTERM);
    /* That the others of a group have ended as well, only the end of its output tells. */
    while ((!ended || process->out_fd >= 0) && deadline_left_ms(&grace) > 0) {
        drop_output(process);
        ask_whether_ended(process, &ended);
    }
    kill(whom, SIGKILL);
    close_fd(&process->out_fd);
    reap(process, NULL);
    process->pid = 0;
}
