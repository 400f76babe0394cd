#include "postgres/notify_choice.h"

#include "base/text.h"
#include "postgres/query.h"

static const char read_query[] =
    "SELECT s.notify_channels, s.notify_on, coalesce((SELECT h.status = 'failed'"
    " FROM backup_history h, backup_history this WHERE this.history_id = $2::uuid"
    " AND h.schedule_id = s.schedule_id AND h.status IN ('completed', 'failed')"
    " AND h.history_id <> this.history_id AND h.completed_at <= this.completed_at"
    " AND (this.of_all_databases IS NOT TRUE OR h.database_name = this.database_name)"
    " ORDER BY h.completed_at DESC LIMIT 1), false)"
    " FROM backup_schedule s WHERE s.schedule_id = $1::uuid";

bool notify_choice_read(struct session *session, const char *schedule_id, const char *history_id,
                        struct notify_choice *out, struct error *err)
{
    const char *values[] = {schedule_id, history_id};

    *out = (struct notify_choice){.channels = NULL};
    if (schedule_id == NULL || *schedule_id == '\0') {
        return true;
    }
    PGresult *result = query_run(session, read_query, 2, values, err);
    if (result == NULL) {
        return error_prefix(err, "reading whom the schedule notifies");
    }
    bool ok = true;
    if (PQntuples(result) > 0) {
        out->recovered = query_bool(result, 0, 2);
        ok = query_copy_array(result, 0, 0, &out->channels, err) &&
             query_copy_array(result, 0, 1, &out->on, err);
    }
    PQclear(result);
    return ok;
}

void notify_choice_clear(struct notify_choice *choice)
{
    text_list_free(choice->channels);
    text_list_free(choice->on);
    *choice = (struct notify_choice){.channels = NULL};
}
