#include "restore/toc_entry.h"

#include <string.h>

#define TYPE       "; Type: "
#define SCHEMA     "; Schema: "
#define OWNER      "; Owner: "
#define TABLESPACE "; Tablespace: "

/* As pg_dump writes them. */
#define TYPE_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ "

/* The length of what comes before the name, or 0. The longer ones first. */
static size_t measure_beginning(const char *comment, size_t length)
{
    static const char *const beginnings[] = {"-- Data for Name: ", "-- Data for ", "-- Name: "};

    for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++) {
        size_t size = strlen(beginnings[i]);
        if (length >= size && memcmp(comment, beginnings[i], size) == 0) {
            return size;
        }
    }
    return 0;
}

static bool begins_with(const char *text, const char *label)
{
    return strncmp(text, label, strlen(label)) == 0;
}

static char *find_last(char *text, const char *label)
{
    char *last = NULL;

    for (char *found = text; (found = strstr(found, label)) != NULL; found++) {
        last = found;
    }
    return last;
}

/* The last field "Type" behind which only the other fields stand. */
static char *find_type(char *text)
{
    char *last = NULL;

    for (char *found = text; (found = strstr(found, TYPE)) != NULL; found++) {
        const char *value = found + strlen(TYPE);
        const char *rest = value + strspn(value, TYPE_LETTERS);
        if (rest > value && (*rest == '\0' || begins_with(rest, SCHEMA))) {
            last = found;
        }
    }
    return last;
}

/* Ends the text before the label; what follows it, or NULL where there is none. */
static char *cut(char *text, const char *label)
{
    char *found = find_last(text, label);

    if (found == NULL) {
        return NULL;
    }
    *found = '\0';
    found += strlen(label);
    return found;
}

static const char *value_of(const char *text)
{
    return text == NULL || strcmp(text, "-") == 0 ? NULL : text;
}

bool toc_entry_begins(const char *comment, size_t length)
{
    return measure_beginning(comment, length) > 0;
}

bool toc_entry_parse(char *comment, struct toc_entry *out)
{
    size_t beginning = measure_beginning(comment, strlen(comment));
    char *type = beginning == 0 ? NULL : find_type(comment + beginning);

    if (type == NULL) {
        return false;
    }
    *type = '\0';
    type += strlen(TYPE);
    char *schema = strstr(type, SCHEMA);
    char *owner = schema == NULL ? NULL : cut(schema + strlen(SCHEMA), OWNER);
    if (schema != NULL) {
        *schema = '\0';
        schema += strlen(SCHEMA);
    }
    if (owner != NULL) {
        cut(owner, TABLESPACE);
    }
    *out = (struct toc_entry){.name = value_of(comment + beginning),
                              .type = type,
                              .schema = value_of(schema),
                              .owner = value_of(owner)};
    return true;
}
