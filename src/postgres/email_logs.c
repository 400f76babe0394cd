#include "postgres/email_logs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "postgres/query.h"

/* 'backup_notification' and 'pending' stay literals of no type until the server knows the column's;
 * the other columns are some kind of text everywhere. */
static const char insert_query[] =
    "INSERT INTO email_logs (email_type, status, to_address, from_address, subject,"
    " plain_text_body, html_body, metadata, created_at, updated_at)"
    " SELECT 'backup_notification', 'pending', $2::text, $3::text, $4::text, $5::text, $6::text,"
    " jsonb_build_object('rythm_backup', jsonb_build_object('key', $7::text, 'run_id', $8::text,"
    " 'outcome', $9::text, 'backup', $10::text, 'attempts', 0)), " QUERY_NOW(1) ", " QUERY_NOW(
        1) " WHERE $11::boolean OR NOT EXISTS (SELECT FROM email_logs WHERE to_address = $2::text"
           " AND metadata ? 'rythm_backup' AND metadata->'rythm_backup'->>'key' = $7::text)";

bool email_logs_add(struct session *session, const struct email_draft *draft, bool *added,
                    struct error *err)
{
    const char *values[] = {
        session->shift,
        draft->to,
        draft->from,
        draft->subject,
        draft->plain_text,
        draft->html,
        draft->key,
        draft->run_id,
        draft->outcome,
        draft->backup_name,
        draft->again ? "true" : "false",
    };
    PGresult *result = query_run(session, insert_query, 11, values, err);

    if (result == NULL) {
        return error_prefix(err, "writing the e-mail to %s to email_logs", draft->to);
    }
    *added = strcmp(PQcmdTuples(result), "1") == 0;
    PQclear(result);
    return true;
}

/* FOR UPDATE: who may not write a mail's outcome must find out before the mail is sent, or it would
 * be sent again by every tick. The lengths are caps only: what we write is far shorter. */
static const char pending_query[] =
    "SELECT email_log_id, left(to_address, 1000), left(from_address, 1000), left(subject, 1000),"
    " left(plain_text_body, 65536), left(html_body, 65536),"
    " left(metadata->'rythm_backup'->>'operation_id', 100),"
    " metadata->'rythm_backup'->>'attempts', metadata->'rythm_backup'->>'outcome' = 'test'"
    " FROM email_logs WHERE status = 'pending' AND metadata ? 'rythm_backup'"
    " AND jsonb_typeof(metadata->'rythm_backup') = 'object'"
    " ORDER BY created_at, email_log_id LIMIT 500 FOR UPDATE SKIP LOCKED";

static bool copy_field(const PGresult *result, int row, int column, char **out)
{
    const char *value = query_text(result, row, column);

    *out = text_copy(value != NULL ? value : "");
    return *out != NULL;
}

static bool read_row(const PGresult *result, int row, struct email *out, struct error *err)
{
    const char *operation_id = query_text(result, row, 6);

    query_copy(result, row, 0, out->id, sizeof(out->id));
    bool ok = copy_field(result, row, 1, &out->to) && copy_field(result, row, 2, &out->from) &&
              copy_field(result, row, 3, &out->subject) &&
              copy_field(result, row, 4, &out->plain_text) &&
              copy_field(result, row, 5, &out->html) &&
              (operation_id == NULL || copy_field(result, row, 6, &out->operation_id));
    out->attempts = query_number(result, row, 7);
    out->is_test = query_bool(result, row, 8);
    return ok ? true : error_set_memory(err);
}

bool email_logs_read_pending(struct session *session, struct emails *out, struct error *err)
{
    bool ok = true;

    *out = (struct emails){.items = NULL};
    PGresult *result = query_run(session, pending_query, 0, NULL, err);
    if (result == NULL) {
        return error_prefix(err, "reading the pending e-mails from email_logs");
    }
    int rows = PQntuples(result);
    if (rows > 0) {
        out->items = calloc((size_t)rows, sizeof(*out->items));
        ok = out->items != NULL ? true : error_set_memory(err);
    }
    for (int row = 0; ok && row < rows; row++) {
        out->count++;
        ok = read_row(result, row, &out->items[row], err);
    }
    PQclear(result);
    if (!ok) {
        email_logs_clear(out);
    }
    return ok;
}

void email_logs_clear(struct emails *emails)
{
    for (size_t i = 0; i < emails->count; i++) {
        struct email *email = &emails->items[i];
        free(email->to);
        free(email->from);
        free(email->subject);
        free(email->plain_text);
        free(email->html);
        free(email->operation_id);
    }
    free(emails->items);
    *emails = (struct emails){.items = NULL};
}

bool email_logs_lock(struct session *session, bool *taken, struct error *err)
{
    PGresult *result = query_run(
        session, "SELECT pg_try_advisory_lock(hashtextextended('rythm-backup:outbox', 0))", 0, NULL,
        err);

    if (result == NULL) {
        return error_prefix(err, "taking the lock of the pending e-mails");
    }
    *taken = query_bool(result, 0, 0);
    PQclear(result);
    return true;
}

/* A row that does not take the change (deleted, resolved, or held back by a trigger) would be
 * delivered again and again. */
static bool update_one(struct session *session, const char *sql, int count,
                       const char *const values[], struct error *err)
{
    const char *id = values[1];
    PGresult *result = query_run(session, sql, count, values, err);

    if (result == NULL) {
        return error_prefix(err, "updating e-mail %s in email_logs", id);
    }
    bool one = strcmp(PQcmdTuples(result), "1") == 0;
    PQclear(result);
    if (!one) {
        return error_set(err, ERROR_FAILED,
                         "updating e-mail %s in email_logs: the row is not pending any more", id);
    }
    return true;
}

/* What follows counts how often the outcome was asked for, no longer how often it was sent. */
bool email_logs_accepted(struct session *session, const char *id, const char *operation_id,
                         struct error *err)
{
    const char *values[] = {session->shift, id, operation_id};

    return update_one(session,
                      "UPDATE email_logs SET updated_at = " QUERY_NOW(
                          1) ","
                             " metadata = jsonb_set(metadata, '{rythm_backup}',"
                             " (metadata->'rythm_backup') ||"
                             " jsonb_build_object('operation_id', $3::text, 'attempts', 0))"
                             " WHERE email_log_id = $2 AND status = 'pending'",
                      3, values, err);
}

bool email_logs_sent(struct session *session, const char *id, const char *message_id,
                     struct error *err)
{
    const char *values[] = {session->shift, id, message_id};

    return update_one(
        session,
        "UPDATE email_logs SET status = 'sent', sent_at = " QUERY_NOW(
            1) ","
               " updated_at = " QUERY_NOW(1) ", message_id = $3, error_message = NULL"
                                             " WHERE email_log_id = $2 AND status = 'pending'",
        3, values, err);
}

/* The number of attempts with this one; what is no number counts as none. */
#define ATTEMPTS                                                                                   \
    "(CASE jsonb_typeof(metadata#>'{rythm_backup,attempts}') WHEN 'number'"                        \
    " THEN (metadata#>>'{rythm_backup,attempts}')::numeric ELSE 0 END + 1)"

bool email_logs_not_sent(struct session *session, const char *id, const char *reason,
                         int64_t most_attempts, bool for_good, struct error *err)
{
    char most[24];
    const char *values[] = {session->shift, id, reason, most, for_good ? "true" : "false"};

    snprintf(most, sizeof(most), "%" PRId64, most_attempts);
    /* ELSE status, so that 'failed' is taken as what the column is. */
    return update_one(session,
                      "UPDATE email_logs SET status = CASE WHEN $5::boolean OR " ATTEMPTS
                      " >= $4::bigint THEN 'failed' ELSE status END, error_message = $3,"
                      " metadata = jsonb_set(metadata, '{rythm_backup,attempts}',"
                      " to_jsonb(" ATTEMPTS ")), updated_at = " QUERY_NOW(
                          1) " WHERE email_log_id = $2 AND status = 'pending'",
                      5, values, err);
}
