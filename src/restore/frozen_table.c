#include "restore/frozen_table.h"

#include <string.h>

#include "postgres/target_database.h"
#include "postgres/target_session.h"

#define COPY    "COPY "
#define FROM    " FROM stdin"
#define OPTIONS " WITH (FREEZE)"
#define ONLY    "ONLY "
#define BEGIN   "BEGIN; TRUNCATE " ONLY

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

/* An extension may have put rows into a table of its own. */
static bool is_empty(struct session *session, const char *from)
{
    struct error refused = ERROR_INIT;
    bool empty = false;

    return target_database_has_no_row(session, from, &empty, &refused) && empty;
}

static bool begin(struct frozen_table *table, struct session *session, const char *name,
                  struct error *err)
{
    size_t length = measure_name(name);
    struct text sql = TEXT_INIT(strlen(BEGIN) + length);
    struct error refused = ERROR_INIT;
    bool ok = true;

    text_append(&sql, BEGIN);
    text_append_bytes(&sql, name, length);
    if (sql.failed) {
        text_clear(&sql);
        return error_set_memory(err);
    }
    if (is_empty(session, text_string(&sql) + strlen(BEGIN) - strlen(ONLY))) {
        table->is_begun = target_session_run(session, text_string(&sql), &refused);
        ok = table->is_begun || target_session_run(session, "ROLLBACK", err);
    }
    text_clear(&sql);
    return ok;
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
