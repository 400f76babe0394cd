#include "restore/frozen_table.h"

#include <string.h>

#include "postgres/target_session.h"

#define COPY    "COPY "
#define FROM    " FROM stdin"
#define OPTIONS " WITH (FREEZE)"
#define BEGIN   "BEGIN; TRUNCATE ONLY "

/* The length of the table's name, with its schema, in front of a blank or a list of columns. */
static size_t measure_name(const char *name)
{
    bool quoted = false;
    size_t length = 0;

    while (name[length] != '\0' && (quoted || strchr(" (", name[length]) == NULL)) {
        quoted = quoted != (name[length] == '"');
        length++;
    }
    return length;
}

/* Where the statement, as a dump writes it, gets its options; NULL: it is another. */
static const char *end_of_copy(const char *copy)
{
    const char *from = copy;
    const char *last = NULL;

    if (strncmp(copy, COPY, strlen(COPY)) != 0) {
        return NULL;
    }
    while ((from = strstr(from, FROM)) != NULL) {
        from += strlen(FROM);
        last = from;
    }
    return last != NULL && (*last == '\0' || strcmp(last, ";") == 0) ? last : NULL;
}

static bool begin(struct frozen_table *table, struct session *session, const char *name,
                  struct error *err)
{
    size_t length = measure_name(name);
    struct text sql = TEXT_INIT(strlen(BEGIN) + length);
    struct error refused = ERROR_INIT;

    text_append(&sql, BEGIN);
    text_append_bytes(&sql, name, length);
    if (sql.failed) {
        text_clear(&sql);
        return error_set_memory(err);
    }
    table->is_begun = target_session_run(session, text_string(&sql), &refused);
    text_clear(&sql);
    return table->is_begun || target_session_run(session, "ROLLBACK", err);
}

size_t frozen_table_length(const char *copy)
{
    return strlen(copy) + strlen(OPTIONS);
}

bool frozen_table_prepare(struct frozen_table *table, struct session *session, const char *copy,
                          struct text *out, struct error *err)
{
    const char *end = end_of_copy(copy);

    if (end != NULL && !table->is_begun && !begin(table, session, copy + strlen(COPY), err)) {
        return false;
    }
    if (end != NULL && table->is_begun) {
        text_append_bytes(out, copy, (size_t)(end - copy));
        text_append(out, OPTIONS);
    } else {
        text_append(out, copy);
    }
    return !out->failed || error_set_memory(err);
}

bool frozen_table_commit(struct frozen_table *table, struct session *session, struct error *err)
{
    bool was_begun = table->is_begun;

    table->is_begun = false;
    return !was_begun || target_session_run(session, "COMMIT", err);
}
