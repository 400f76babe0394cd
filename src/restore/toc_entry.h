/*
 * The comment that pg_dump, and our dump, put before what belongs to one object:
 *
 *     -- Name: foo bar; Type: TABLE; Schema: public; Owner: bob
 *     -- Data for Name: foo bar; Type: TABLE DATA; Schema: public; Owner: bob
 *     -- Data for public."foo bar"; Type: TABLE DATA
 *
 * For people and for messages: nothing in it is quoted, and a name can look like more of it.
 */
#ifndef RESTORE_TOC_ENTRY_H
#define RESTORE_TOC_ENTRY_H

#include <stdbool.h>
#include <stddef.h>

/* NULL: there is none ("-"). */
struct toc_entry {
    const char *name;
    const char *type;
    const char *schema;
    const char *owner;
};

/* Whether a comment may be one of these. */
bool toc_entry_begins(const char *comment, size_t length);

/* Cuts the comment up in place: `out` points into it. Reads it from its end, for the name may hold
 * what looks like the rest. False, and nothing is touched, when it is no such comment. */
bool toc_entry_parse(char *comment, struct toc_entry *out);

#endif
