#include "postgres/transaction.h"

#include "postgres/query.h"

bool transaction_begin(struct session *session, struct error *err)
{
    return query_script(session, "BEGIN", err);
}

bool transaction_commit(struct session *session, struct error *err)
{
    return query_script(session, "COMMIT", err);
}

void transaction_rollback(struct session *session)
{
    struct error ignored = ERROR_INIT;

    query_script(session, "ROLLBACK", &ignored);
}
