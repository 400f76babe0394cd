#include "backup/due_verification.h"

#include <stdio.h>

#include "postgres/verification.h"

void made_backup_note(struct made_backup *made, const struct backup_request *request,
                      const struct backup_result *result)
{
    *made = (struct made_backup){.verify_every = request->schedule->verify_every,
                                 .store = request->store};
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

static bool find_backup(const struct made_backup *made, struct object *object,
                        struct backup_object *backup, struct error *err)
{
    bool found = false;

    if (!store_head(made->store, made->name, object, &found, err)) {
        return false;
    }
    if (!found) {
        return error_set(err, ERROR_FAILED, "%s is not in %s any more", made->name,
                         made->store->location);
    }
    return backup_object_parse(object, backup) ||
           error_set(err, ERROR_FAILED, "%s in %s has other metadata than it was given", made->name,
                     made->store->location);
}

bool due_verification_run(const struct made_backup *made, const struct verify_request *how,
                          bool *verified, struct verify_outcome *outcome, struct error *err)
{
    struct object object = OBJECT_INIT;
    struct backup_object backup;
    struct verify_request request = *how;

    *outcome = (struct verify_outcome){.verdict = VERIFY_UNKNOWN};
    if (!is_due(made, how, verified, err)) {
        return false;
    }
    request.store = made->store;
    request.backup = &backup;
    bool ok = !*verified ||
              (find_backup(made, &object, &backup, err) && verify_backup(&request, outcome, err));
    object_clear(&object);
    return ok;
}
