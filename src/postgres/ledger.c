#include "postgres/ledger.h"

#include <stdio.h>

#include "postgres/query.h"

bool ledger_identify(struct session *session, struct ledger *out, struct error *err)
{
    PGresult *result =
        query_run(session, "SELECT system_identifier, current_database() FROM pg_control_system()",
                  0, NULL, err);

    if (result == NULL) {
        return error_prefix(err, "asking the server which one it is");
    }
    query_copy(result, 0, 0, out->system, sizeof(out->system));
    query_copy(result, 0, 1, out->database, sizeof(out->database));
    PQclear(result);
    return true;
}

void ledger_format(char out[LEDGER_TEXT_SIZE], const struct ledger *ledger)
{
    snprintf(out, LEDGER_TEXT_SIZE, "%s/%s", ledger->system, ledger->database);
}
