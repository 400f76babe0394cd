#include "stream/script_end.h"

#include <string.h>

void script_tail_add(struct script_tail *tail, const char *data, size_t size)
{
    if (size >= sizeof(tail->bytes)) {
        memcpy(tail->bytes, data + size - sizeof(tail->bytes), sizeof(tail->bytes));
        tail->length = sizeof(tail->bytes);
        return;
    }
    size_t kept =
        sizeof(tail->bytes) - size < tail->length ? sizeof(tail->bytes) - size : tail->length;
    memmove(tail->bytes, tail->bytes + tail->length - kept, kept);
    memcpy(tail->bytes + kept, data, size);
    tail->length = kept + size;
}

const char *script_end_find(const char *data, size_t size)
{
    const char *last = NULL;
    const char *found;
    const char *end = data + size;

    while ((found = memmem(data, (size_t)(end - data), SCRIPT_END_COMMENT,
                           strlen(SCRIPT_END_COMMENT))) != NULL) {
        last = found;
        data = found + 1;
    }
    return last;
}

bool script_tail_is_whole(const struct script_tail *tail)
{
    return script_end_find(tail->bytes, tail->length) != NULL;
}
