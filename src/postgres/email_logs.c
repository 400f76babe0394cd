#include "postgres/email_logs.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "postgres/query.h"

/* 'backup_notification' and 'pending' stay literals of no type until the server knows the column's;
 * the other columns are some kind of text everywhere. */
static const char insert_query[] =
    "INSERT INTO email_logs (email_log_id, email_type, status, to_address, from_address, subject,"
    " plain_text_body, html_body, metadata, created_at, updated_at)"
    " SELECT $2::uuid, 'backup_notification', 'pending', $3::text, $4::text, $5::text, $6::text,"
    " $7::text, jsonb_build_object('rythm_backup', jsonb_build_object('key', $8::text, 'run_id',"
    " $9::text, 'outcome', $10::text, 'backup', $11::text, 'channel', $12::text, 'attempts', 0)),"
    " " QUERY_NOW(1) ", " QUERY_NOW(1);

bool email_logs_add(struct session *session, const struct email_draft *draft, struct error *err)
{
    const char *values[] = {
        session->shift, draft->id,         draft->to,          draft->from,
        draft->subject, draft->plain_text, draft->html,        draft->key,
        draft->run_id,  draft->outcome,    draft->backup_name, draft->channel,
    };

    return query_execute(session, insert_query, 12, values, err) ||
           error_prefix(err, "writing the e-mail to %s to email_logs", draft->to);
}

static bool copy_field(const PGresult *result, int column, char **out)
{
    const char *value = query_text(result, 0, column);

    *out = text_copy(value != NULL ? value : "");
    return *out != NULL;
}

/* FOR UPDATE: who may not write a mail's outcome must find out before the mail is sent, or it would
 * be sent again by every tick. The lengths are caps only: what we write is far shorter. */
bool email_logs_read(struct session *session, const char *id, struct email *out, bool *pending,
                     struct error *err)
{
    const char *values[] = {id};

    *out = (struct email){.from = NULL};
    PGresult *result = query_run(session,
                                 "SELECT left(from_address, 1000), left(subject, 1000),"
                                 " left(plain_text_body, 65536), left(html_body, 65536)"
                                 " FROM email_logs WHERE email_log_id = $1 AND status = 'pending'"
                                 " FOR UPDATE",
                                 1, values, err);
    if (result == NULL) {
        return error_prefix(err, "reading e-mail %s from email_logs", id);
    }
    *pending = PQntuples(result) == 1;
    bool ok =
        !*pending || (copy_field(result, 0, &out->from) && copy_field(result, 1, &out->subject) &&
                      copy_field(result, 2, &out->plain_text) && copy_field(result, 3, &out->html));
    PQclear(result);
    if (!ok) {
        email_logs_clear(out);
        return error_set_memory(err);
    }
    return true;
}

void email_logs_clear(struct email *email)
{
    free(email->from);
    free(email->subject);
    free(email->plain_text);
    free(email->html);
    *email = (struct email){.from = NULL};
}

static bool update_one(struct session *session, const char *sql, int count,
                       const char *const values[], struct error *err)
{
    return query_update_pending(session, sql, count, values, err) ||
           error_prefix(err, "updating e-mail %s in email_logs", values[1]);
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

bool email_logs_not_sent(struct session *session, const char *id, const char *reason, bool given_up,
                         struct error *err)
{
    const char *values[] = {session->shift, id, reason, given_up ? "true" : "false"};

    /* ELSE status, so that 'failed' is taken as what the column is. */
    return update_one(session,
                      "UPDATE email_logs SET status = CASE WHEN $4::boolean THEN 'failed'"
                      " ELSE status END, error_message = $3,"
                      " metadata = jsonb_set(metadata, '{rythm_backup,attempts}',"
                      " to_jsonb(" ATTEMPTS ")), updated_at = " QUERY_NOW(
                          1) " WHERE email_log_id = $2 AND status = 'pending'",
                      4, values, err);
}

bool email_logs_not_tried(struct session *session, const char *id, const char *reason,
                          struct error *err)
{
    const char *values[] = {session->shift, id, reason};

    return update_one(
        session,
        "UPDATE email_logs SET status = 'failed', error_message = $3,"
        " updated_at = " QUERY_NOW(1) " WHERE email_log_id = $2 AND status = 'pending'",
        3, values, err);
}

bool email_logs_rewrite(struct session *session, const char *id, const char *subject,
                        const char *plain_text, const char *html, struct error *err)
{
    const char *values[] = {session->shift, id, subject, plain_text, html};

    return update_one(
        session,
        "UPDATE email_logs SET subject = $3, plain_text_body = $4, html_body = $5,"
        " updated_at = " QUERY_NOW(1) " WHERE email_log_id = $2 AND status = 'pending'",
        5, values, err);
}
