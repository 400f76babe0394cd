#include "postgres/migrations.h"

#include <string.h>

#include "postgres/query.h"
#include "postgres/transaction.h"

/* CREATE ... IF NOT EXISTS of two processes at once can still collide: one at a time. The lock ends
 * with the transaction. */
#define ONE_AT_A_TIME "SELECT pg_advisory_xact_lock(hashtextextended('rythm-backup:migrate', 0))"

/* An index on a large table takes its time. */
#define LIMIT_MS ((int64_t)3600 * 1000)

bool migrations_apply(struct session *session, const struct migration *migration, struct error *err)
{
    session->limit_ms = LIMIT_MS;
    if (transaction_begin(session, err) && query_script(session, ONE_AT_A_TIME, err) &&
        query_script(session, migration->sql, err) && transaction_commit(session, err)) {
        return true;
    }
    /* lock_not_available (manual, appendix A) */
    if (strcmp(session->sqlstate, "55P03") == 0) {
        error_hint(err, "a backup or another long transaction is reading these tables; run it "
                        "again later");
    }
    transaction_rollback(session);
    return error_prefix(err, "applying migration %s", migration->name);
}
