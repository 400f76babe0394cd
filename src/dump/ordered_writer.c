#include "dump/ordered_writer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_SIZE ((size_t)128 * 1024)

struct chunk {
    struct chunk *next;
    size_t used;
    size_t capacity;
    unsigned char data[];
};

enum part_state { PART_OPEN, PART_DEFERRED, PART_ENDED };

struct part {
    enum part_state state;
    struct chunk *first;
    struct chunk *last;
};

struct ordered_writer {
    struct ordered_writer_options options;
    pthread_mutex_t lock; /* of all that follows, but for the head's bytes on their way out */
    pthread_cond_t moved; /* the head moved, room came, a part was deferred, or a failure */
    struct part *parts;
    size_t claimed;
    size_t head;
    size_t buffered; /* bytes of all chunks in use */
    struct chunk
        *spare; /* chunks of the usual size to be used again: new memory has to be cleared */
    bool failed;
    struct error failure;
};

static void free_chunks(struct chunk *chunk)
{
    while (chunk != NULL) {
        struct chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

struct ordered_writer *ordered_writer_new(const struct ordered_writer_options *options,
                                          struct error *err)
{
    struct ordered_writer *writer = calloc(1, sizeof(*writer));

    if (writer == NULL) {
        error_set_memory(err);
        return NULL;
    }
    writer->options = *options;
    writer->parts = calloc(options->parts, sizeof(*writer->parts));
    if (writer->parts == NULL) {
        error_set_memory(err);
        free(writer);
        return NULL;
    }
    pthread_mutex_init(&writer->lock, NULL);
    pthread_cond_init(&writer->moved, NULL);
    return writer;
}

void ordered_writer_free(struct ordered_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    for (size_t i = 0; i < writer->options.parts; i++) {
        free_chunks(writer->parts[i].first);
    }
    free_chunks(writer->spare);
    free(writer->parts);
    pthread_cond_destroy(&writer->moved);
    pthread_mutex_destroy(&writer->lock);
    free(writer);
}

/* The functions below, up to the exported ones, are called with the lock held. */

static bool refuse(const struct ordered_writer *writer, struct error *err)
{
    *err = writer->failure;
    return false;
}

static void fail(struct ordered_writer *writer, const struct error *err)
{
    if (!writer->failed) {
        writer->failed = true;
        writer->failure = *err;
    }
    pthread_cond_broadcast(&writer->moved);
}

/* Lets go of the lock meanwhile: only the head's producer comes here. */
static bool pass_on(struct ordered_writer *writer, const void *data, size_t size, struct error *err)
{
    pthread_mutex_unlock(&writer->lock);
    bool ok = stage_write(writer->options.next, data, size, err);
    if (ok && writer->options.passed != NULL) {
        writer->options.passed(writer->options.context);
    }
    pthread_mutex_lock(&writer->lock);
    if (!ok) {
        fail(writer, err);
    }
    return ok;
}

static void put_back(struct ordered_writer *writer, struct chunk *chunk)
{
    writer->buffered -= chunk->capacity;
    if (chunk->capacity > CHUNK_SIZE) {
        free(chunk);
        return;
    }
    chunk->next = writer->spare;
    writer->spare = chunk;
}

static struct chunk *get_chunk(struct ordered_writer *writer, size_t capacity)
{
    struct chunk *chunk = writer->spare;

    if (chunk == NULL || capacity > CHUNK_SIZE) {
        return malloc(sizeof(*chunk) + capacity);
    }
    writer->spare = chunk->next;
    return chunk;
}

/* What the head has kept while it was not yet the head. */
static bool drain(struct ordered_writer *writer, struct error *err)
{
    struct part *part = &writer->parts[writer->head];

    while (part->first != NULL) {
        struct chunk *chunk = part->first;
        if (!pass_on(writer, chunk->data, chunk->used, err)) {
            return false;
        }
        part->first = chunk->next;
        put_back(writer, chunk);
        pthread_cond_broadcast(&writer->moved);
    }
    part->last = NULL;
    return true;
}

static bool add_chunk(struct ordered_writer *writer, struct part *part, size_t size,
                      struct error *err)
{
    size_t capacity = size > CHUNK_SIZE ? size : CHUNK_SIZE;
    struct chunk *chunk = get_chunk(writer, capacity);

    if (chunk == NULL) {
        return error_set_memory(err);
    }
    chunk->next = NULL;
    chunk->used = 0;
    chunk->capacity = capacity;
    if (part->last != NULL) {
        part->last->next = chunk;
    } else {
        part->first = chunk;
    }
    part->last = chunk;
    writer->buffered += capacity;
    return true;
}

static bool has_room(const struct ordered_writer *writer, const struct part *part, size_t size)
{
    if (part->last != NULL && part->last->capacity - part->last->used >= size) {
        return true;
    }
    size_t capacity = size > CHUNK_SIZE ? size : CHUNK_SIZE;
    return writer->buffered + capacity <= writer->options.most_buffered;
}

static bool keep(struct ordered_writer *writer, struct part *part, const void *data, size_t size,
                 struct error *err)
{
    if ((part->last == NULL || part->last->capacity - part->last->used < size) &&
        !add_chunk(writer, part, size, err)) {
        return false;
    }
    memcpy(part->last->data + part->last->used, data, size);
    part->last->used += size;
    return true;
}

/* Past every part that has ended, with what it kept. */
static bool advance(struct ordered_writer *writer, struct error *err)
{
    while (writer->head < writer->options.parts &&
           writer->parts[writer->head].state == PART_ENDED) {
        if (!drain(writer, err)) {
            return false;
        }
        writer->head++;
        pthread_cond_broadcast(&writer->moved);
    }
    return true;
}

bool ordered_writer_claim(struct ordered_writer *writer, size_t *part)
{
    pthread_mutex_lock(&writer->lock);
    bool any = !writer->failed && writer->claimed < writer->options.parts;
    if (any) {
        *part = writer->claimed++;
    }
    pthread_mutex_unlock(&writer->lock);
    return any;
}

bool ordered_writer_write(struct ordered_writer *writer, size_t number, const void *data,
                          size_t size, struct error *err)
{
    struct part *part = &writer->parts[number];
    bool ok;

    pthread_mutex_lock(&writer->lock);
    while (!writer->failed && number != writer->head && !has_room(writer, part, size)) {
        pthread_cond_wait(&writer->moved, &writer->lock);
    }
    if (writer->failed) {
        ok = refuse(writer, err);
    } else if (number == writer->head) {
        ok = drain(writer, err) && pass_on(writer, data, size, err);
    } else {
        ok = keep(writer, part, data, size, err);
    }
    pthread_mutex_unlock(&writer->lock);
    return ok;
}

bool ordered_writer_end(struct ordered_writer *writer, size_t number, struct error *err)
{
    pthread_mutex_lock(&writer->lock);
    writer->parts[number].state = PART_ENDED;
    bool ok = writer->failed ? refuse(writer, err) : true;
    if (ok && number == writer->head) {
        ok = advance(writer, err);
    }
    pthread_mutex_unlock(&writer->lock);
    return ok;
}

void ordered_writer_defer(struct ordered_writer *writer, size_t number)
{
    pthread_mutex_lock(&writer->lock);
    writer->parts[number].state = PART_DEFERRED;
    pthread_cond_broadcast(&writer->moved);
    pthread_mutex_unlock(&writer->lock);
}

bool ordered_writer_take_deferred(struct ordered_writer *writer, size_t *part, bool *any,
                                  struct error *err)
{
    pthread_mutex_lock(&writer->lock);
    while (!writer->failed && writer->head < writer->options.parts &&
           writer->parts[writer->head].state != PART_DEFERRED) {
        pthread_cond_wait(&writer->moved, &writer->lock);
    }
    bool ok = writer->failed ? refuse(writer, err) : true;
    *any = ok && writer->head < writer->options.parts;
    if (*any) {
        *part = writer->head;
        writer->parts[*part].state = PART_OPEN;
    }
    pthread_mutex_unlock(&writer->lock);
    return ok;
}

void ordered_writer_fail(struct ordered_writer *writer, struct error *err)
{
    pthread_mutex_lock(&writer->lock);
    fail(writer, err);
    *err = writer->failure;
    pthread_mutex_unlock(&writer->lock);
}
