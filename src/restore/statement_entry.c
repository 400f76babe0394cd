#include "restore/statement_entry.h"

#include <inttypes.h>
#include <string.h>

#include "restore/toc_entry.h"

/* A longer comment tells nothing: it is a function's, with all of its arguments. */
#define ENTRY_SIZE 8192

static bool read_entry(const struct sql_statement *statement, char copy[ENTRY_SIZE],
                       struct toc_entry *out)
{
    size_t length = strlen(statement->entry);

    if (length >= ENTRY_SIZE) {
        return false;
    }
    memcpy(copy, statement->entry, length + 1);
    return toc_entry_parse(copy, out);
}

static bool is_one_of(const char *type, const char *const *types, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(type, types[i]) == 0) {
            return true;
        }
    }
    return false;
}

bool statement_entry_has_type(const struct sql_statement *statement, const char *type)
{
    char copy[ENTRY_SIZE];
    struct toc_entry entry;

    return read_entry(statement, copy, &entry) && entry.type != NULL &&
           strcmp(entry.type, type) == 0;
}

bool statement_entry_is_data(const struct sql_statement *statement)
{
    static const char *const types[] = {
        "TABLE DATA", "SEQUENCE SET", "MATERIALIZED VIEW DATA", "BLOB", "BLOBS", "BLOB METADATA",
    };
    static const char *const remarks[] = {"COMMENT", "ACL", "SECURITY LABEL"};
    static const char large_object[] = "LARGE OBJECT";
    char copy[ENTRY_SIZE];
    struct toc_entry entry;

    if (!read_entry(statement, copy, &entry) || entry.type == NULL) {
        return false;
    }
    if (is_one_of(entry.type, types, sizeof(types) / sizeof(types[0]))) {
        return true;
    }
    return is_one_of(entry.type, remarks, sizeof(remarks) / sizeof(remarks[0])) &&
           entry.name != NULL && strncmp(entry.name, large_object, strlen(large_object)) == 0;
}

bool statement_entry_remarks_on(const struct sql_statement *statement, const char *type)
{
    char copy[ENTRY_SIZE];
    struct toc_entry entry;
    size_t length = strlen(type);

    return read_entry(statement, copy, &entry) && entry.type != NULL && entry.name != NULL &&
           (strcmp(entry.type, "COMMENT") == 0 || strcmp(entry.type, "SECURITY LABEL") == 0) &&
           strncmp(entry.name, type, length) == 0 && entry.name[length] == ' ';
}

bool statement_entry_prefix(const struct sql_statement *statement, struct error *err)
{
    char copy[ENTRY_SIZE];
    struct toc_entry entry;

    if (!read_entry(statement, copy, &entry) || entry.type == NULL || entry.name == NULL) {
        return error_prefix(err, "line %" PRIu64, statement->line);
    }
    return error_prefix(err, "%s %s%s%s (line %" PRIu64 ")", entry.type,
                        entry.schema != NULL ? entry.schema : "", entry.schema != NULL ? "." : "",
                        entry.name, statement->line);
}
