#include "backup/verify.h"

#include <inttypes.h>
#include <stdio.h>

#include "backup/aftermath.h"
#include "backup/progress.h"
#include "backup/telemetry.h"
#include "base/clock.h"
#include "base/log.h"
#include "postgres/verification.h"

static bool prove(const struct verify_request *request, struct proof_result *result,
                  struct error *err)
{
    struct progress progress;
    const struct proof proof = {
        .settings = request->settings,
        .store = request->store,
        .backup = request->backup,
        .quick = request->quick,
        .server = request->server,
        .progress = progress_update,
        .progress_context = &progress,
    };

    progress_begin(&progress, "Verifying", request->backup->facts.raw_bytes,
                   request->show_progress);
    bool ok = proof_run(&proof, result, err);
    progress_end(&progress);
    return ok;
}

static bool record_good(const struct verify_request *request, struct session *session,
                        const struct proof_result *result, struct error *err)
{
    const struct verified_backup backup = {.name = request->backup->object->name,
                                           .run_id = request->backup->facts.run_id};
    bool recorded;

    return verification_record(session, &backup, result->rows, result->duration_ms, &recorded, err);
}

static bool record_bad(const struct verify_request *request, struct session *session,
                       const struct proof_result *result, const struct error *why,
                       struct error *err)
{
    const struct verified_backup backup = {.name = request->backup->object->name,
                                           .run_id = request->backup->facts.run_id};
    const struct aftermath_refutation refutation = {
        .backup = request->backup, .why = why->text, .duration_ms = result->duration_ms};
    bool recorded;

    if (request->silent) {
        return verification_record_failure(session, &backup, why->text, result->duration_ms,
                                           &recorded, err);
    }
    return aftermath_verification_failed(request->settings, session, &refutation, err);
}

static void record(const struct verify_request *request, struct verify_outcome *outcome,
                   const struct error *why)
{
    struct session *session = NULL;
    struct error *err = &outcome->degraded;

    bool ok =
        session_open(request->ledger, &session, err) &&
        (outcome->verdict == VERIFY_GOOD ? record_good(request, session, &outcome->proof, err)
                                         : record_bad(request, session, &outcome->proof, why, err));
    session_close(session);
    if (!ok) {
        error_prefix(err, "recording the verification");
    }
}

static void tell_good(const struct verify_request *request, const struct proof_result *result)
{
    const char *name = request->backup->object->name;
    char duration[CLOCK_DURATION_SIZE];
    char what[128] = "";

    clock_format_duration(duration, result->duration_ms);
    if (result->has_rows) {
        snprintf(what, sizeof(what), ": %" PRIu64 " rows in %" PRIu64 " tables are as they were",
                 result->rows, result->tables);
    }
    log_write(&LOG_WITH(LOG_INFO, LOG_MARK_OK, "verified", LOG_TEXT("name", name),
                        LOG_NUMBER("rows", (int64_t)result->rows),
                        LOG_NUMBER("duration_ms", result->duration_ms)),
              "%s %s in %s%s", request->quick ? "Checked" : "Verified", name, duration, what);
}

bool verify_backup(const struct verify_request *request, struct verify_outcome *outcome,
                   struct error *err)
{
    *outcome = (struct verify_outcome){.verdict = VERIFY_GOOD};
    bool ok = prove(request, &outcome->proof, err);

    if (ok) {
        tell_good(request, &outcome->proof);
    } else {
        outcome->verdict = outcome->proof.is_bad ? VERIFY_BAD : VERIFY_UNKNOWN;
    }
    if (outcome->verdict == VERIFY_BAD || (ok && !request->quick)) {
        record(request, outcome, err);
        telemetry_note_verification(request->telemetry, request->backup, outcome, err);
    }
    return ok;
}
