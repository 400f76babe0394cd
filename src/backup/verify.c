#include "backup/verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "backup/aftermath.h"
#include "backup/progress.h"
#include "backup/telemetry.h"
#include "base/clock.h"
#include "base/log.h"
#include "postgres/backup_copies.h"
#include "postgres/verification.h"

static bool prove(const struct verify_request *request, struct proof_result *result,
                  struct error *err)
{
    struct progress progress;
    const struct proof proof = {
        .settings = request->settings,
        .store = request->choice->store,
        .backup = &request->choice->backup,
        .quick = request->quick,
        .server = request->server,
        .progress = progress_update,
        .progress_context = &progress,
    };

    progress_begin(&progress, "Verifying", request->choice->backup.facts.raw_bytes,
                   request->show_progress);
    bool ok = proof_run(&proof, result, err);
    progress_end(&progress);
    return ok;
}

static bool record_good(const struct verify_request *request, struct session *session,
                        const struct proof_result *result, struct error *err)
{
    const struct verified_backup backup = {.name = request->choice->backup.object->name,
                                           .run_id = request->choice->backup.facts.run_id};
    bool recorded;

    return verification_record(session, &backup, result->rows, result->duration_ms, &recorded, err);
}

static bool record_bad(const struct verify_request *request, struct session *session,
                       const struct proof_result *result, const struct error *why,
                       struct error *err)
{
    const struct verified_backup backup = {.name = request->choice->backup.object->name,
                                           .run_id = request->choice->backup.facts.run_id};
    const struct aftermath_refutation refutation = {
        .backup = &request->choice->backup, .why = why->text, .duration_ms = result->duration_ms};
    const struct verification_failure silent = {
        .why = why->text, .duration_ms = result->duration_ms, .told = true};
    bool recorded;

    if (request->silent) {
        return verification_record_failure(session, &backup, &silent, &recorded, err);
    }
    return aftermath_verification_failed(request->settings, session, &refutation, err);
}

/* The copies that were tried before the last one, in vain. */
struct tried {
    struct {
        struct store *store;
        struct error why;
        bool is_bad;
    } copies[STORES_MOST];
    size_t count;
    size_t bad;
};

/* Of each copy what is known of it now; the good one is no more called damaged. */
static bool record_copies(const struct verify_request *request, const struct tried *tried,
                          struct session *session, bool good, struct error *err)
{
    const char *run_id = request->choice->backup.facts.run_id;
    bool ok = true;

    for (size_t i = 0; ok && i < tried->count; i++) {
        const struct copy_note note = {.store = tried->copies[i].store->location,
                                       .required = true,
                                       .state = COPY_DAMAGED,
                                       .error = tried->copies[i].why.text};
        ok = !tried->copies[i].is_bad || *run_id == '\0' ||
             backup_copies_note(session, run_id, &note, err);
    }
    return ok && (!good ||
                  backup_copies_note_good(session, run_id, request->choice->store->location, err));
}

static void record(const struct verify_request *request, const struct tried *tried,
                   struct verify_outcome *outcome, const struct error *why)
{
    struct session *session = NULL;
    struct error *err = &outcome->degraded;
    bool is_bad = outcome->verdict == VERIFY_BAD;
    bool is_proved = outcome->verdict == VERIFY_GOOD && !request->quick;

    if (!is_bad && !is_proved && tried->bad == 0) {
        return;
    }
    bool ok = session_open(request->ledger, &session, err) &&
              (is_bad || record_copies(request, tried, session, is_proved, err)) &&
              (!is_proved || record_good(request, session, &outcome->proof, err)) &&
              (!is_bad || record_bad(request, session, &outcome->proof, why, err));
    session_close(session);
    if (!ok) {
        error_prefix(err, "recording the verification");
    } else if (tried->bad > 0 && !is_bad) {
        error_set(err, ERROR_DEGRADED, "%zu cop%s of %s not good", tried->bad,
                  tried->bad == 1 ? "y" : "ies", request->choice->object.name);
    }
}

static void tell_good(const struct verify_request *request, const struct proof_result *result)
{
    const char *name = request->choice->backup.object->name;
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

/* True when there is another copy to try. */
static bool turn(const struct verify_request *request, bool is_bad, struct tried *tried,
                 struct error *err)
{
    struct backup_choice *choice = request->choice;
    struct error problem = *err;
    bool found = false;
    bool at_fault = backup_choice_is_at_fault(choice, err);

    tried->copies[tried->count].store = choice->store;
    tried->copies[tried->count].why = problem;
    tried->copies[tried->count].is_bad = is_bad;
    tried->count++;
    tried->bad += is_bad;
    if (!at_fault || tried->count == STORES_MOST ||
        !backup_choice_next(request->stores, choice, &found, err) || !found) {
        return false;
    }
    log_warning("copy_not_good", "The copy in %s is %s: %s; the next one is tried",
                tried->copies[tried->count - 1].store->location,
                is_bad ? "not good" : "not to be read", problem.text);
    return true;
}

bool verify_backup(const struct verify_request *request, struct verify_outcome *outcome,
                   struct error *err)
{
    struct tried *tried = calloc(1, sizeof(*tried));
    bool ok = false;
    bool again = true;

    *outcome = (struct verify_outcome){.verdict = VERIFY_UNKNOWN};
    if (tried == NULL) {
        return error_set_memory(err);
    }
    while (!ok && again) {
        ok = prove(request, &outcome->proof, err);
        again = !ok && turn(request, outcome->proof.is_bad, tried, err);
    }
    if (ok) {
        error_clear(err);
        tell_good(request, &outcome->proof);
        outcome->verdict = VERIFY_GOOD;
    } else if (request->choice->unasked) {
        error_hint(err, "a store that did not answer may have a good copy");
    } else if (tried->bad == tried->count) {
        outcome->verdict = VERIFY_BAD;
    }
    record(request, tried, outcome, err);
    if (outcome->verdict == VERIFY_BAD || (ok && !request->quick)) {
        telemetry_note_verification(request->telemetry, &request->choice->backup, outcome, err);
    }
    free(tried);
    return ok;
}
