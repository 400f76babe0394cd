#include "postgres/deliveries.h"

#include <stdlib.h>
#include <string.h>

#include "postgres/query.h"

/* A mail that an earlier version sent has no delivery: its key is in email_logs alone. */
static const char insert_query[] =
    "INSERT INTO rythm_backup_deliveries (delivery_id, news_key, channel, recipient, news, is_mail,"
    " is_test, again, state, merged_into, next_attempt_at, created_at, ended_at)"
    " SELECT $2::uuid, $3::text, $4::text, $5::text, $6::jsonb, $7::boolean, $8::boolean,"
    " $9::boolean, CASE WHEN $10::uuid IS NULL THEN 'pending' ELSE 'merged' END,"
    " $10::uuid, " QUERY_NOW(1) ", " QUERY_NOW(1) ", CASE WHEN $10::uuid IS NOT NULL "
                                                  "THEN " QUERY_NOW(
                                                      1) " END WHERE $9::boolean OR NOT "
                                                         "$7::boolean OR NOT EXISTS"
                                                         " (SELECT FROM email_logs WHERE "
                                                         "to_address = $5::text AND metadata ? "
                                                         "'rythm_backup'"
                                                         " AND metadata->'rythm_backup'->>'key' = "
                                                         "$3::text"
                                                         " AND "
                                                         "coalesce(metadata->'rythm_backup'->>'"
                                                         "channel', 'acs') = $4::text)"
                                                         " ON CONFLICT DO NOTHING";

bool deliveries_add(struct session *session, const struct delivery_draft *draft, bool *added,
                    struct error *err)
{
    const char *values[] = {
        session->shift,
        draft->id,
        draft->key,
        draft->channel,
        draft->recipient,
        draft->merged_into == NULL ? draft->news : NULL,
        draft->is_mail ? "true" : "false",
        draft->is_test ? "true" : "false",
        draft->again ? "true" : "false",
        draft->merged_into,
    };
    PGresult *result = query_run(session, insert_query, 10, values, err);

    if (result == NULL) {
        return error_prefix(err, "writing a notification to rythm_backup_deliveries");
    }
    *added = strcmp(PQcmdTuples(result), "1") == 0;
    PQclear(result);
    return true;
}

/* One that somebody is about to deliver at this moment is passed over. */
bool deliveries_find_open(struct session *session, const char *channel, const char *recipient,
                          const char *kind, struct open_delivery *out, struct error *err)
{
    const char *values[] = {channel, recipient, kind};

    *out = (struct open_delivery){.news = NULL};
    PGresult *result = query_run(session,
                                 "SELECT delivery_id, news FROM rythm_backup_deliveries"
                                 " WHERE state = 'pending' AND attempts = 0 AND receipt IS NULL"
                                 " AND NOT again AND channel = $1 AND recipient = $2"
                                 " AND news->>'kind' = $3 ORDER BY created_at DESC, delivery_id"
                                 " LIMIT 1 FOR UPDATE SKIP LOCKED",
                                 3, values, err);
    if (result == NULL) {
        return error_prefix(err, "reading the pending notifications");
    }
    bool ok = true;
    if (PQntuples(result) > 0) {
        query_copy(result, 0, 0, out->id, sizeof(out->id));
        ok = query_copy_text(result, 0, 1, &out->news, err);
    }
    PQclear(result);
    return ok;
}

void deliveries_clear_open(struct open_delivery *open)
{
    free(open->news);
    *open = (struct open_delivery){.news = NULL};
}

bool deliveries_rewrite(struct session *session, const char *id, const char *news,
                        struct error *err)
{
    const char *values[] = {id, news};

    return query_execute(session,
                         "UPDATE rythm_backup_deliveries SET news = $2::jsonb"
                         " WHERE delivery_id = $1",
                         2, values, err) ||
           error_prefix(err, "writing a notification to rythm_backup_deliveries");
}
