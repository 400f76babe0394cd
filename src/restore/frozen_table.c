#include "restore/frozen_table.h"

#include <string.h>

#include "base/text.h"
#include "postgres/target_database.h"
#include "postgres/target_session.h"

#define ONLY  "ONLY "
#define BEGIN "BEGIN; TRUNCATE " ONLY

/* An extension may have put rows into a table of its own. */
static bool is_empty(struct session *session, const char *from)
{
    struct error refused = ERROR_INIT;
    bool empty = false;

    return target_database_has_no_row(session, from, &empty, &refused) && empty;
}

bool frozen_table_begin(struct frozen_table *table, struct session *session, const char *name,
                        size_t length, struct error *err)
{
    struct text sql = TEXT_INIT(strlen(BEGIN) + length);
    struct error refused = ERROR_INIT;
    bool ok = true;

    if (table->is_begun) {
        return true;
    }
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

bool frozen_table_commit(struct frozen_table *table, struct session *session, struct error *err)
{
    bool was_begun = table->is_begun;

    table->is_begun = false;
    return !was_begun || target_session_run(session, "COMMIT", err);
}
