#include "store/xml.h"

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <libxml/xmlerror.h>
#include <pthread.h>
#include <string.h>

#include "base/library.h"
#include "config.h"

#define FUNCTIONS(X)                                                                               \
    X(xmlInitParser)                                                                               \
    X(xmlNewParserCtxt)                                                                            \
    X(xmlFreeParserCtxt)                                                                           \
    X(xmlCtxtReadMemory)                                                                           \
    X(xmlCtxtGetLastError)                                                                         \
    X(xmlStopParser)                                                                               \
    X(xmlDocGetRootElement)                                                                        \
    X(xmlFreeDoc)

static struct {
#define MEMBER(name) __typeof__(name) *name;
    FUNCTIONS(MEMBER)
#undef MEMBER
} libxml;
static bool loaded;
static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;

static bool load(struct error *err)
{
    static const struct library_symbol symbols[] = {
#define SYMBOL(function) {.name = #function, .slot = &libxml.function},
        FUNCTIONS(SYMBOL)
#undef SYMBOL
    };

    pthread_mutex_lock(&loading);
    bool ok =
        loaded || library_load(LIBXML_SONAME, symbols, sizeof(symbols) / sizeof(symbols[0]), err);
    if (ok && !loaded) {
        libxml.xmlInitParser();
        loaded = true;
    }
    pthread_mutex_unlock(&loading);
    return ok;
}

/* Called at <!DOCTYPE, in whatever encoding, before anything in it is read. */
static void refuse_document_type(void *context, const xmlChar *name, const xmlChar *external_id,
                                 const xmlChar *system_id)
{
    xmlParserCtxtPtr parser = context;
    bool *refused = parser->_private;

    (void)name;
    (void)external_id;
    (void)system_id;
    *refused = true;
    libxml.xmlStopParser(parser);
}

static void explain(xmlParserCtxtPtr parser, bool refused, struct error *err)
{
    if (refused) {
        error_set(err, ERROR_FAILED, "it has a document type, which is refused");
        return;
    }
    const xmlError *problem = libxml.xmlCtxtGetLastError(parser);
    if (problem != NULL && problem->message != NULL) {
        error_set(err, ERROR_FAILED, "line %d: %s", problem->line, problem->message);
    } else {
        error_set(err, ERROR_FAILED, "it is empty or memory is out");
    }
}

struct xml *xml_parse(const void *data, size_t size, struct error *err)
{
    bool refused = false;
    xmlParserCtxtPtr parser = NULL;
    xmlDocPtr document = NULL;

    if (size > XML_CAP) {
        error_set(err, ERROR_FAILED, "longer than the %zu bytes allowed", XML_CAP);
        goto failed;
    }
    if (!load(err)) {
        return NULL;
    }
    parser = libxml.xmlNewParserCtxt();
    if (parser == NULL) {
        error_set_memory(err);
        goto failed;
    }
    parser->_private = &refused;
    parser->sax->internalSubset = refuse_document_type;
    document = libxml.xmlCtxtReadMemory(parser, data, (int)size, NULL, NULL,
                                        XML_PARSE_NONET | XML_PARSE_NOBLANKS | XML_PARSE_NOERROR |
                                            XML_PARSE_NOWARNING);
    if (document == NULL || refused || document->intSubset != NULL ||
        libxml.xmlDocGetRootElement(document) == NULL) {
        explain(parser, refused, err);
        goto failed;
    }
    libxml.xmlFreeParserCtxt(parser);
    return (struct xml *)document;

failed:
    if (document != NULL) {
        libxml.xmlFreeDoc(document);
    }
    if (parser != NULL) {
        libxml.xmlFreeParserCtxt(parser);
    }
    error_prefix(err, "reading XML");
    return NULL;
}

void xml_free(struct xml *xml)
{
    if (xml != NULL) {
        libxml.xmlFreeDoc((xmlDocPtr)xml);
    }
}

const struct xml_node *xml_root(const struct xml *xml)
{
    return (const struct xml_node *)libxml.xmlDocGetRootElement((const xmlDoc *)xml);
}

static const xmlNode *inside(const struct xml_node *node)
{
    return (const xmlNode *)node;
}

const char *xml_name(const struct xml_node *node)
{
    return (const char *)inside(node)->name;
}

static const struct xml_node *find(const xmlNode *node, const char *name)
{
    for (; node != NULL; node = node->next) {
        if (node->type == XML_ELEMENT_NODE &&
            (name == NULL || strcmp((const char *)node->name, name) == 0)) {
            return (const struct xml_node *)node;
        }
    }
    return NULL;
}

const struct xml_node *xml_first(const struct xml_node *node, const char *name)
{
    return node != NULL ? find(inside(node)->children, name) : NULL;
}

const struct xml_node *xml_next(const struct xml_node *node, const char *name)
{
    return node != NULL ? find(inside(node)->next, name) : NULL;
}

/* The text of siblings; false at anything that is not text, such as an element or an entity. */
static bool append_texts(const xmlNode *node, struct text *out)
{
    for (; node != NULL; node = node->next) {
        if (node->type == XML_TEXT_NODE || node->type == XML_CDATA_SECTION_NODE) {
            text_append(out, (const char *)node->content);
        } else if (node->type != XML_COMMENT_NODE && node->type != XML_PI_NODE) {
            return false;
        }
    }
    return !out->failed;
}

bool xml_text(const struct xml_node *node, struct text *out)
{
    text_clear(out);
    return node != NULL && append_texts(inside(node)->children, out);
}

bool xml_child_text(const struct xml_node *node, const char *name, struct text *out)
{
    return xml_text(xml_first(node, name), out);
}

bool xml_attribute_is(const struct xml_node *node, const char *name, const char *value)
{
    const xmlAttr *attribute = node != NULL ? inside(node)->properties : NULL;

    while (attribute != NULL && strcmp((const char *)attribute->name, name) != 0) {
        attribute = attribute->next;
    }
    struct text text = TEXT_INIT(256);
    bool is = attribute != NULL && append_texts(attribute->children, &text) &&
              strcmp(text_string(&text), value) == 0;
    text_clear(&text);
    return is;
}
