#include "base/log_tail.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* A ring: byte n of all that was ever added is at n % LOG_TAIL_BYTES. */
static struct {
    pthread_mutex_t lock;
    uint64_t added;
    char bytes[LOG_TAIL_BYTES];
} tail = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void add_byte(char byte)
{
    tail.bytes[tail.added++ % LOG_TAIL_BYTES] = byte;
}

void log_tail_add(const char *line)
{
    pthread_mutex_lock(&tail.lock);
    for (const char *c = line; *c != '\0'; c++) {
        add_byte(*c);
    }
    add_byte('\n');
    pthread_mutex_unlock(&tail.lock);
}

uint64_t log_tail_position(void)
{
    pthread_mutex_lock(&tail.lock);
    uint64_t position = tail.added;
    pthread_mutex_unlock(&tail.lock);
    return position;
}

void log_tail_copy(uint64_t since, char out[LOG_TAIL_BYTES + 1])
{
    size_t length = 0;

    pthread_mutex_lock(&tail.lock);
    bool cut = tail.added - since > LOG_TAIL_BYTES;
    for (uint64_t i = cut ? tail.added - LOG_TAIL_BYTES : since; i < tail.added; i++) {
        out[length++] = tail.bytes[i % LOG_TAIL_BYTES];
    }
    pthread_mutex_unlock(&tail.lock);
    out[length] = '\0';
    /* Half a line may be half a character, too. */
    const char *end = cut ? strchr(out, '\n') : NULL;
    if (end != NULL) {
        memmove(out, end + 1, strlen(end + 1) + 1);
    }
}
