#include "postgres/delivery_rounds.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "postgres/query.h"

/* A mail of ours in email_logs that nobody has delivered, given up or withdrawn. */
#define UNSYNCED_MAILS                                                                             \
    "email_logs e WHERE e.status = 'pending' AND e.metadata ? 'rythm_backup'"                      \
    " AND jsonb_typeof(e.metadata->'rythm_backup') = 'object' AND NOT EXISTS"                      \
    " (SELECT FROM rythm_backup_deliveries d WHERE d.delivery_id = e.email_log_id"                 \
    " AND d.state = 'pending')"

static bool ask(struct session *session, const char *sql, bool *out, struct error *err)
{
    PGresult *result = query_run(session, sql, 0, NULL, err);

    if (result == NULL) {
        return false;
    }
    *out = query_bool(result, 0, 0);
    PQclear(result);
    return true;
}

bool delivery_rounds_look(struct session *session, bool *any, struct error *err)
{
    return ask(session,
               "SELECT EXISTS (SELECT FROM rythm_backup_deliveries WHERE state = 'pending')"
               " OR EXISTS (SELECT FROM " UNSYNCED_MAILS ")",
               any, err) ||
           error_prefix(err, "reading the pending notifications");
}

bool delivery_rounds_lock(struct session *session, bool *taken, struct error *err)
{
    return ask(session, "SELECT pg_try_advisory_lock(hashtextextended('rythm-backup:outbox', 0))",
               taken, err) ||
           error_prefix(err, "taking the lock of the pending notifications");
}

/* The lengths are caps only: what we write is far shorter. */
static const char adopt_query[] =
    "INSERT INTO rythm_backup_deliveries AS known (delivery_id, news_key, again, channel,"
    " recipient, is_mail, is_test, receipt, next_attempt_at, created_at)"
    " SELECT e.email_log_id, coalesce(left(e.metadata->'rythm_backup'->>'key', 500),"
    " e.email_log_id::text), true, coalesce(left(e.metadata->'rythm_backup'->>'channel', 31),"
    " 'acs'), left(e.to_address, 1000), true,"
    " coalesce(e.metadata->'rythm_backup'->>'outcome' = 'test', false),"
    " left(e.metadata->'rythm_backup'->>'operation_id', 100), " QUERY_NOW(1) ", " QUERY_NOW(
        1) " FROM " UNSYNCED_MAILS " ORDER BY e.created_at, e.email_log_id LIMIT 500"
           " ON CONFLICT (delivery_id) DO UPDATE SET state = 'pending', attempts = 0,"
           " next_attempt_at = excluded.next_attempt_at, created_at = excluded.created_at,"
           " throttled = false, last_error = NULL, ended_at = NULL";

bool delivery_rounds_sync(struct session *session, struct error *err)
{
    const char *values[] = {session->shift};

    return (query_execute(session,
                          "UPDATE rythm_backup_deliveries d SET state = 'withdrawn', news = NULL,"
                          " ended_at = " QUERY_NOW(1) " WHERE d.state = 'pending' AND d.is_mail"
                                                      " AND NOT EXISTS (SELECT FROM email_logs e"
                                                      " WHERE e.email_log_id = d.delivery_id"
                                                      " AND e.status = 'pending')",
                          1, values, err) &&
            query_execute(session, adopt_query, 1, values, err)) ||
           error_prefix(err, "bringing the outbox in line with email_logs");
}

/* Who has waited longest since its last attempt comes first: where only one of a channel is tried,
 * it is another one each time. And no channel's many keep out another's few. */
static const char read_query[] =
    "SELECT d.delivery_id, left(d.channel, 31), left(d.recipient, 1000), left(d.receipt, 127),"
    " d.is_mail, d.is_test, d.created_at <= n.now - interval '1 day', h.held, d.attempts"
    " FROM rythm_backup_deliveries d CROSS JOIN (SELECT " QUERY_NOW(
        1) " AS now) n"
           " CROSS JOIN LATERAL (SELECT d.receipt IS NULL AND EXISTS (SELECT FROM"
           " rythm_backup_deliveries t WHERE t.channel = d.channel AND t.state = 'pending'"
           " AND t.throttled AND t.next_attempt_at > n.now) AS held) h"
           " WHERE d.state = 'pending'"
           " AND ($2::boolean OR d.next_attempt_at <= n.now AND NOT h.held)"
           " ORDER BY row_number() OVER (PARTITION BY d.channel ORDER BY d.next_attempt_at,"
           " d.created_at, d.delivery_id), d.created_at, d.delivery_id LIMIT 500";

static bool read_row(const PGresult *result, int row, void *item, struct error *err)
{
    struct due_delivery *out = item;

    query_copy(result, row, 0, out->id, sizeof(out->id));
    query_copy(result, row, 1, out->channel, sizeof(out->channel));
    out->is_mail = query_bool(result, row, 4);
    out->is_test = query_bool(result, row, 5);
    out->is_old = query_bool(result, row, 6);
    out->is_held = query_bool(result, row, 7);
    out->attempts = query_number(result, row, 8);
    return query_copy_text(result, row, 2, &out->recipient, err) &&
           query_copy_text(result, row, 3, &out->receipt, err);
}

bool delivery_rounds_read(struct session *session, bool all, struct due_deliveries *out,
                          struct error *err)
{
    const char *values[] = {session->shift, all ? "true" : "false"};

    *out = (struct due_deliveries){.items = NULL};
    PGresult *result = query_run(session, read_query, 2, values, err);
    if (result == NULL) {
        return error_prefix(err, "reading the pending notifications");
    }
    void *items;
    bool ok = query_read_items(result, sizeof(*out->items), read_row, &items, &out->count, err);
    out->items = items;
    if (!ok) {
        delivery_rounds_clear(out);
    }
    return ok;
}

void delivery_rounds_clear(struct due_deliveries *due)
{
    for (size_t i = 0; i < due->count; i++) {
        free(due->items[i].recipient);
        free(due->items[i].receipt);
    }
    free(due->items);
    *due = (struct due_deliveries){.items = NULL};
}

bool delivery_rounds_begin(struct session *session, const char *id, char **news, bool *pending,
                           struct error *err)
{
    const char *values[] = {id};
    PGresult *result = query_run(session,
                                 "UPDATE rythm_backup_deliveries SET attempts = attempts + 1"
                                 " WHERE delivery_id = $1 AND state = 'pending' RETURNING news",
                                 1, values, err);

    if (result == NULL) {
        return error_prefix(err, "beginning to deliver notification %s", id);
    }
    *news = NULL;
    *pending = PQntuples(result) == 1;
    bool ok = !*pending || query_copy_text(result, 0, 0, news, err);
    PQclear(result);
    return ok;
}

static bool update_one(struct session *session, const char *sql, int count,
                       const char *const values[], struct error *err)
{
    return query_update_pending(session, sql, count, values, err) ||
           error_prefix(err, "updating notification %s in rythm_backup_deliveries", values[1]);
}

bool delivery_rounds_accepted(struct session *session, const char *id, const char *receipt,
                              struct error *err)
{
    const char *values[] = {session->shift, id, receipt};

    return update_one(session,
                      "UPDATE rythm_backup_deliveries SET receipt = $3, attempts = 0,"
                      " throttled = false, next_attempt_at = " QUERY_NOW(
                          1) " WHERE delivery_id = $2 AND state = 'pending'",
                      3, values, err);
}

bool delivery_rounds_postpone(struct session *session, const char *id,
                              const struct delivery_pause *pause, struct error *err)
{
    char wait[24];
    const char *values[] = {session->shift, id, wait, pause->throttled ? "true" : "false",
                            pause->reason};

    snprintf(wait, sizeof(wait), "%" PRId64, pause->wait_ms);
    return update_one(session,
                      "UPDATE rythm_backup_deliveries SET next_attempt_at = " QUERY_NOW(
                          1) " + $3::float8 * interval '1 millisecond', throttled = $4::boolean,"
                             " last_error = coalesce($5::text, last_error)"
                             " WHERE delivery_id = $2 AND state = 'pending'",
                      5, values, err);
}

bool delivery_rounds_end(struct session *session, const char *id, enum delivery_end end,
                         const char *reason, struct error *err)
{
    static const char *const states[] = {[DELIVERY_SENT] = "sent",
                                         [DELIVERY_GIVEN_UP] = "given up",
                                         [DELIVERY_WITHDRAWN] = "withdrawn"};
    const char *values[] = {session->shift, id, states[end], reason};

    return update_one(session,
                      "UPDATE rythm_backup_deliveries SET state = $3, ended_at = " QUERY_NOW(
                          1) ", news = NULL, throttled = false, last_error = $4"
                             " WHERE delivery_id = $2 AND state = 'pending'",
                      4, values, err);
}

bool delivery_rounds_count(struct session *session, const char *channel, int64_t *count,
                           struct error *err)
{
    const char *values[] = {session->shift, channel};
    PGresult *result =
        query_run(session,
                  "SELECT count(*) FROM rythm_backup_deliveries WHERE channel = $2"
                  " AND (state = 'sent' AND ended_at > " QUERY_NOW(
                      1) " - interval '1 hour' OR state = 'pending' AND receipt IS NOT NULL)",
                  2, values, err);

    if (result == NULL) {
        return error_prefix(err, "counting the notifications of the last hour");
    }
    *count = query_number(result, 0, 0);
    PQclear(result);
    return true;
}
