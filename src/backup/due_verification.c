#include "backup/due_verification.h"

#include <stdio.h>
#include <string.h>

#include "postgres/verification.h"

void made_backup_note(struct made_backup *made, const struct backup_request *request,
                      const struct backup_result *result)
{
    *made = (struct made_backup){.verify_every = request->schedule->verify_every};
    for (size_t i = 0; i < request->stores->count; i++) {
        if (!result->is_missing[i]) {
            made->stores[made->store_count++] = request->stores->stores[i];
        }
    }
    snprintf(made->schedule_id, sizeof(made->schedule_id), "%s", request->schedule->id);
    snprintf(made->name, sizeof(made->name), "%s", result->name);
    snprintf(made->run_id, sizeof(made->run_id), "%s", result->run_id);
}

static bool is_due(const struct made_backup *made, const struct verify_request *how, bool *due,
                   struct error *err)
{
    struct session *session = NULL;

    *due = false;
    if (made->verify_every == 0) {
        return true;
    }
    bool ok = session_open(how->ledger, &session, err) &&
              verification_is_due(session, made->schedule_id, made->run_id, due, err);
    session_close(session);
    return ok ? true : error_prefix(err, "asking whether %s is to be verified", made->name);
}

bool due_verification_run(const struct made_backup *made, const struct verify_request *how,
                          bool *verified, struct verify_outcome *outcome, struct error *err)
{
    struct backup_choice choice = {.store = NULL};
    struct store_pool pool = {.count = made->store_count};
    struct verify_request request = *how;

    *outcome = (struct verify_outcome){.verdict = VERIFY_UNKNOWN};
    if (!is_due(made, how, verified, err)) {
        return false;
    }
    memcpy(pool.items, made->stores, pool.count * sizeof(pool.items[0]));
    request.choice = &choice;
    request.stores = &pool;
    bool ok = !*verified || (backup_choice_find(&pool, NULL, made->name, &choice, err) &&
                             verify_backup(&request, outcome, err));
    backup_choice_clear(&choice);
    return ok;
}
