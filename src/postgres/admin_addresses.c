#include "postgres/admin_addresses.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "postgres/query.h"

#define QUERY_CAP (64 * 1024)

bool admin_addresses_add(struct addresses *addresses, const char *address, struct error *err)
{
    for (size_t i = 0; i < addresses->count; i++) {
        if (strcmp(addresses->items[i], address) == 0) {
            return true;
        }
    }
    if (addresses->count == ADDRESSES_MOST) {
        return error_set(err, ERROR_CONFIG, "there are more than %d addresses to notify",
                         ADDRESSES_MOST);
    }
    char **items = realloc(addresses->items, (addresses->count + 1) * sizeof(*items));
    if (items == NULL) {
        return error_set_memory(err);
    }
    addresses->items = items;
    items[addresses->count] = text_copy(address);
    if (items[addresses->count] == NULL) {
        return error_set_memory(err);
    }
    addresses->count++;
    return true;
}

static bool read_rows(const PGresult *result, struct addresses *out, struct error *err)
{
    if (PQnfields(result) < 1) {
        return error_set(err, ERROR_CONFIG, "it has no column");
    }
    for (int row = 0; row < PQntuples(result); row++) {
        const char *address = query_text(result, row, 0);
        if (address != NULL && !admin_addresses_add(out, address, err)) {
            return false;
        }
    }
    return true;
}

/* A cursor takes nothing but one query, and gives no more rows than asked for. */
static bool read_in_transaction(struct session *session, const char *query, struct addresses *out,
                                struct error *err)
{
    struct text declare = TEXT_INIT(QUERY_CAP);

    text_appendf(&declare, "DECLARE rythm_backup_admins NO SCROLL CURSOR FOR %s", query);
    bool ok = declare.failed ? error_set(err, ERROR_CONFIG, "it is longer than %d bytes", QUERY_CAP)
                             : query_execute(session, text_string(&declare), 0, NULL, err);
    text_clear(&declare);
    if (!ok) {
        return false;
    }
    PGresult *result =
        query_run(session, "FETCH FORWARD 1001 FROM rythm_backup_admins", 0, NULL, err);
    ok = result != NULL && read_rows(result, out, err);
    PQclear(result);
    return ok;
}

bool admin_addresses_read(struct session *session, const char *query, struct addresses *out,
                          bool *missing, struct error *err)
{
    struct error ignored = ERROR_INIT;

    *out = (struct addresses){.items = NULL};
    *missing = false;
    if (!query_script(session, "BEGIN READ ONLY; SET LOCAL statement_timeout = '30s'", err)) {
        return error_prefix(err, "running RYTHM_BACKUP_ADMIN_QUERY");
    }
    bool ok = read_in_transaction(session, query, out, err);
    /* undefined_table; class 42, syntax error or access rule violation (manual, appendix A) */
    *missing = !ok && strcmp(session->sqlstate, "42P01") == 0;
    if (!ok && strncmp(session->sqlstate, "42", 2) == 0) {
        err->kind = ERROR_CONFIG;
    }
    /* Nothing was written; where this fails, the session's next query says why. */
    query_script(session, "ROLLBACK", &ignored);
    if (ok) {
        return true;
    }
    admin_addresses_clear(out);
    if (*missing) {
        error_clear(err);
        return true;
    }
    error_prefix(err, "running RYTHM_BACKUP_ADMIN_QUERY");
    return error_hint(err, "correct the query, or name the recipients in RYTHM_BACKUP_NOTIFY_TO");
}

void admin_addresses_clear(struct addresses *addresses)
{
    for (size_t i = 0; i < addresses->count; i++) {
        free(addresses->items[i]);
    }
    free(addresses->items);
    *addresses = (struct addresses){.items = NULL};
}
