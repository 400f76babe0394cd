#include "postgres/delivery_status.h"

#include <stdlib.h>

#include "postgres/query.h"

/* What is dated after the server's clock (a rehearsal's, under --now) is passed over. */
static const char read_query[] =
    "WITH given_up AS (SELECT d.channel, d.ended_at, d.last_error"
    " FROM rythm_backup_deliveries d CROSS JOIN (SELECT " QUERY_NOW(
        1) " AS now) n"
           " WHERE d.state = 'given up' AND NOT d.is_test AND d.ended_at <= n.now"
           " AND d.ended_at > n.now - interval '7 days')"
           " SELECT (SELECT count(*) FROM rythm_backup_deliveries WHERE state = 'pending'),"
           " (SELECT count(*) FROM given_up), l.channel, " QUERY_MS(
               "l.ended_at") ","
                             " left(l.last_error, 2000) FROM (SELECT) one LEFT JOIN"
                             " (SELECT * FROM given_up ORDER BY ended_at DESC LIMIT 1) l ON true";

bool delivery_status_read(struct session *session, struct delivery_status *out, struct error *err)
{
    const char *values[] = {session->shift};

    *out = (struct delivery_status){.error = NULL};
    PGresult *result = query_run(session, read_query, 1, values, err);
    if (result == NULL) {
        return error_prefix(err, "reading how the notifications stand");
    }
    out->waiting = query_number(result, 0, 0);
    out->given_up = query_number(result, 0, 1);
    query_copy(result, 0, 2, out->channel, sizeof(out->channel));
    out->given_up_ms = query_number(result, 0, 3);
    bool ok = query_copy_text(result, 0, 4, &out->error, err);
    PQclear(result);
    return ok;
}

void delivery_status_clear(struct delivery_status *status)
{
    free(status->error);
    *status = (struct delivery_status){.error = NULL};
}
