/*
 * How a script ends. pg_dump writes a comment at the end of every script that it finished; ours has
 * one more line, the last one, after it.
 */
#ifndef STREAM_SCRIPT_END_H
#define STREAM_SCRIPT_END_H

#include <stdbool.h>
#include <stddef.h>

/* The last line of every object. */
#define SCRIPT_END_LINE "-- rythm-backup dump complete\n"

/* pg_dump's comment; nothing but its \unrestrict line follows it. */
#define SCRIPT_END_COMMENT "--\n-- PostgreSQL database dump complete\n--\n"

/* Room for the comment and what follows it. */
#define SCRIPT_TAIL_SIZE 512

/* The last bytes of a script. */
struct script_tail {
    char bytes[SCRIPT_TAIL_SIZE];
    size_t length;
};

void script_tail_add(struct script_tail *tail, const char *data, size_t size);
/* True when pg_dump's comment is among them. */
bool script_tail_is_whole(const struct script_tail *tail);

/* The last occurrence of the comment, or NULL. */
const char *script_end_find(const char *data, size_t size);

#endif
