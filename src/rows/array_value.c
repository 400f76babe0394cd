#include "rows/array_value.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "rows/network_order.h"

#define NULL_WORD "NULL"

/* What ends an element without quotes, and what does not stand in one: blanks, too, which
 * array_in() passes over. */
enum { ENDS = 1, QUOTED = 2 };
static const unsigned char marks[256] = {
    [','] = ENDS,    ['}'] = ENDS,    ['"'] = QUOTED,  ['\\'] = QUOTED,
    ['{'] = QUOTED,  [' '] = QUOTED,  ['\t'] = QUOTED, ['\n'] = QUOTED,
    ['\r'] = QUOTED, ['\v'] = QUOTED, ['\f'] = QUOTED,
};

struct element {
    char *text;
    size_t length;
    bool is_null;
};

/* From behind its first quote: *at is behind its last one then. */
static bool take_quoted(char **at, const char *end, struct element *out)
{
    char *from = *at;
    char *to = from;

    out->text = from;
    while (from < end && *from != '"') {
        from += *from == '\\' ? 1 : 0;
        if (from == end) {
            return false;
        }
        *to++ = *from++;
    }
    if (from == end) {
        return false;
    }
    out->length = (size_t)(to - out->text);
    *at = from + 1;
    return true;
}

static bool take_plain(char **at, const char *end, struct element *out)
{
    char *from = *at;

    out->text = from;
    while (from < end && marks[(unsigned char)*from] == 0) {
        from++;
    }
    if (from == end || marks[(unsigned char)*from] != ENDS) {
        return false;
    }
    out->length = (size_t)(from - out->text);
    out->is_null = out->length == strlen(NULL_WORD) &&
                   strncasecmp(out->text, NULL_WORD, strlen(NULL_WORD)) == 0;
    *at = from;
    return out->length > 0;
}

static bool take_element(char **at, const char *end, struct element *out)
{
    *out = (struct element){.is_null = false};
    if (*at == end || **at != '"') {
        return take_plain(at, end, out);
    }
    (*at)++;
    return take_quoted(at, end, out);
}

static unsigned char *put_element(const struct value_type *type, const struct element *element,
                                  unsigned char *out)
{
    if (element->is_null) {
        return put_32(out, VALUE_NULL);
    }
    unsigned char *value = out + sizeof(uint32_t);
    unsigned char *end = type->encode(element->text, element->length, value);
    if (end != NULL) {
        put_32(out, (uint32_t)(end - value));
    }
    return end;
}

static unsigned char *put_head(const struct value_type *type, uint32_t count, bool has_null,
                               unsigned char *out)
{
    out = put_32(out, count > 0 ? 1 : 0); /* dimensions */
    out = put_32(out, has_null ? 1 : 0);
    out = put_32(out, type->oid);
    if (count > 0) {
        out = put_32(out, count);
        out = put_32(out, 1); /* the first one's index */
    }
    return out;
}

unsigned char *array_value_encode(const struct value_type *element, char *text, size_t length,
                                  unsigned char *out)
{
    const char *end = text + length;
    bool has_null = false;
    uint32_t count = 0;
    unsigned char *at = put_head(element, 1, false, out);

    if (length < 2 || text[0] != '{') {
        return NULL;
    }
    if (length == 2 && text[1] == '}') {
        return put_head(element, 0, false, out);
    }
    do {
        struct element next;
        text++; /* the brace, or the comma */
        if (!take_element(&text, end, &next) || (at = put_element(element, &next, at)) == NULL) {
            return NULL;
        }
        has_null |= next.is_null;
        count++;
    } while (text < end && *text == ',');
    if (text + 1 != end || *text != '}') {
        return NULL;
    }
    put_head(element, count, has_null, out);
    return at;
}
