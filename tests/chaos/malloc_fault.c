/* LD_PRELOAD: memory that runs out, connections that break, a close() that reports an error; for
 * tests/chaos.
 *
 *     CHAOS_FAIL=memory:17   the 17th allocation fails
 *     CHAOS_FAIL=memory:17+  it and all that follow fail
 *     CHAOS_FAIL=send:5      the fifth send() finds the connection dead, and says CHAOS_ERRNO
 *     CHAOS_FAIL=close:3     the third close() closes, and says CHAOS_ERRNO (a number)
 *     CHAOS_LOG=FILE         a line per allocation, send() and close(): its kind, its number within
 *                            the kind, and who called, from the inside out, as MODULE+OFFSET
 *     CHAOS_REPORT=FILE      such a line of the first that failed; and when the program crashes,
 *                            one with the signal and its number
 *
 * libc's own strdup(), asprintf(), opendir() ... allocate through these functions, too. Programs
 * that this one starts are left in peace. */

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOST_FRAMES 48
#define LINE_SIZE   4096
#define FIRST_FD    200 /* out of the way of the program's own */

enum kind { KIND_MEMORY, KIND_SEND, KIND_CLOSE, KIND_COUNT };

static const char *const kind_names[KIND_COUNT] = {"memory", "send", "close"};

/* glibc's own, under the names that nobody interposes. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static struct {
    enum kind kind;
    long first; /* 0: none fails */
    bool onwards;
    int errnum;
    int log_fd;
    int report_fd;
} config = {.kind = KIND_COUNT, .errnum = EIO, .log_fd = -1, .report_fd = -1};

static atomic_long counts[KIND_COUNT];
static atomic_bool ready;
/* What is done here may itself allocate. */
static __thread bool inside __attribute__((tls_model("initial-exec")));

/* Not dladdr(), which looks through all of a library's symbols. */
static void append_caller(char *line, size_t *used, void *address)
{
    struct dl_find_object found;
    bool known = _dl_find_object(address, &found) == 0;
    const char *path = known ? found.dlfo_link_map->l_name : "?";
    const char *slash = strrchr(path, '/');
    const char *name = path[0] == '\0' ? program_invocation_short_name
                       : slash != NULL ? slash + 1
                                       : path;
    uintptr_t offset = (uintptr_t)address - (known ? found.dlfo_link_map->l_addr : 0);
    int length = snprintf(line + *used, LINE_SIZE - *used, " %s+%#jx", name, (uintmax_t)offset);

    if (length > 0 && (size_t)length < LINE_SIZE - *used) {
        *used += (size_t)length;
    }
}

/* "KIND NUMBER CALLER CALLER ...\n" in one write. */
static void write_callers(int fd, const char *kind, long number)
{
    void *frames[MOST_FRAMES];
    char line[LINE_SIZE];
    int count = backtrace(frames, MOST_FRAMES);
    int length = snprintf(line, sizeof(line), "%s %ld", kind, number);
    size_t used = length > 0 ? (size_t)length : 0;

    for (int i = 0; i < count; i++) {
        append_caller(line, &used, frames[i]);
    }
    line[used++] = '\n';
    if (write(fd, line, used) < 0) {
        return;
    }
}

static void tell(int fd, const char *what, long number)
{
    int saved = errno;

    if (fd >= 0) {
        inside = true;
        write_callers(fd, what, number);
        inside = false;
    }
    errno = saved;
}

/* Counts one; true when it is to fail. */
static bool fails(enum kind kind)
{
    if (inside || !atomic_load(&ready)) {
        return false;
    }
    long number = atomic_fetch_add(&counts[kind], 1) + 1;
    tell(config.log_fd, kind_names[kind], number);
    if (kind != config.kind || config.first == 0 || number < config.first) {
        return false;
    }
    if (number == config.first) {
        tell(config.report_fd, kind_names[kind], number);
    }
    return config.onwards || number == config.first;
}

void *malloc(size_t size)
{
    if (fails(KIND_MEMORY)) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    if (fails(KIND_MEMORY)) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    /* With 0 it frees. */
    if ((old == NULL || size > 0) && fails(KIND_MEMORY)) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_realloc(old, size);
}

void *reallocarray(void *old, size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(old, bytes);
}

void *memalign(size_t alignment, size_t size)
{
    if (fails(KIND_MEMORY)) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    int saved = errno;
    void *memory = memalign(alignment, size);

    errno = saved;
    if (memory == NULL) {
        return ENOMEM;
    }
    *out = memory;
    return 0;
}

/* A connection that fails to send is dead for the reader, too: libpq relies on that. */
ssize_t send(int fd, const void *data, size_t size, int flags)
{
    if (fails(KIND_SEND)) {
        shutdown(fd, SHUT_RDWR);
        errno = config.errnum;
        return -1;
    }
    return sendto(fd, data, size, flags, NULL, 0);
}

/* As the kernel does it: the descriptor is gone whatever close() says. */
int close(int fd)
{
    int result = (int)syscall(SYS_close, fd);

    if (fails(KIND_CLOSE) && result == 0) {
        errno = config.errnum;
        return -1;
    }
    return result;
}

static void on_crash(int number)
{
    tell(config.report_fd, sigabbrev_np(number), number);
    /* SA_RESETHAND: now it dies of it. */
    raise(number);
}

static int open_far(const char *path)
{
    int fd = path != NULL ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    int far = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FD) : -1;

    if (fd >= 0) {
        syscall(SYS_close, fd);
    }
    return far;
}

static void catch_crashes(void)
{
    static const int signals[] = {SIGSEGV, SIGABRT, SIGBUS, SIGILL, SIGFPE};
    struct sigaction action = {.sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND | SA_NODEFER};

    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        sigaction(signals[i], &action, NULL);
    }
}

static void parse_fail(const char *text)
{
    for (int kind = 0; text != NULL && kind < KIND_COUNT; kind++) {
        size_t length = strlen(kind_names[kind]);
        char *end = NULL;
        if (strncmp(text, kind_names[kind], length) == 0 && text[length] == ':') {
            config.kind = (enum kind)kind;
            config.first = strtol(text + length + 1, &end, 10);
            config.onwards = *end == '+';
        }
    }
}

__attribute__((constructor)) static void begin(void)
{
    static const char *const own[] = {"LD_PRELOAD", "CHAOS_FAIL", "CHAOS_ERRNO", "CHAOS_LOG",
                                      "CHAOS_REPORT"};
    const char *number = getenv("CHAOS_ERRNO");
    void *frame;

    parse_fail(getenv("CHAOS_FAIL"));
    config.errnum = number != NULL ? atoi(number) : EIO;
    config.log_fd = open_far(getenv("CHAOS_LOG"));
    config.report_fd = open_far(getenv("CHAOS_REPORT"));
    if (config.report_fd >= 0) {
        catch_crashes();
    }
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        unsetenv(own[i]);
    }
    /* Its first call loads a library, which cannot be done when memory has run out. */
    backtrace(&frame, 1);
    atomic_store(&ready, true);
}
