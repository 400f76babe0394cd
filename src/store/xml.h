/*
 * Reading the XML that services answer with: a small view of a parsed document, elements by their
 * local names. The only file that uses libxml2, which is loaded at first use.
 *
 * What comes in is untrusted (I11): nothing is fetched, no entity is expanded, a document with a
 * document type (and so with entities of its own) is refused, size and depth are bounded.
 */
#ifndef STORE_XML_H
#define STORE_XML_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/text.h"

#define XML_CAP ((size_t)16 * 1024 * 1024)

struct xml;      /* a document */
struct xml_node; /* an element of one; lives as long as the document */

/* Thread-safe. NULL, with the reason and the line, for anything but one well-formed document. */
struct xml *xml_parse(const void *data, size_t size, struct error *err);
void xml_free(struct xml *xml);

const struct xml_node *xml_root(const struct xml *xml);
/* The local name of the element. */
const char *xml_name(const struct xml_node *node);

/* The first child element, and the next sibling element, of this name; of any for NULL. NULL when
 * there is none; a NULL node has none. */
const struct xml_node *xml_first(const struct xml_node *node, const char *name);
const struct xml_node *xml_next(const struct xml_node *node, const char *name);

/* Replaces *out by the element's own text: "" for an empty one. False when the node is NULL, when
 * there are elements in it, or when the text does not fit. */
bool xml_text(const struct xml_node *node, struct text *out);
/* As xml_text(), for the first child of this name. */
bool xml_child_text(const struct xml_node *node, const char *name, struct text *out);

/* True when the element has this attribute with exactly this value. */
bool xml_attribute_is(const struct xml_node *node, const char *name, const char *value);

#endif
