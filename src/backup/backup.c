#include "backup/backup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup/hook.h"
#include "backup/publication.h"
#include "backup/run.h"
#include "base/log.h"
#include "dump/dump.h"
#include "notify/ping.h"
#include "postgres/backup_history.h"
#include "postgres/server_locale.h"
#include "postgres/session_password.h"
#include "schedule/adoption.h"
#include "schedule/claim.h"

/* A schedule may name another database than the one it stands in. */
static bool open_source(struct run *run, struct error *err)
{
    const struct schedule *schedule = run->request->schedule;
    struct session_options options = *run->request->session;
    struct server_facts server;

    run->source = run->claim.session;
    run->dumped = run->claim.ledger;
    if (schedule->dbname != NULL || schedule->service != NULL) {
        options.dbname = schedule->dbname;
        options.service = schedule->service;
        if (!session_open(&options, &run->source, err)) {
            run->source = NULL;
        }
        if (run->source == NULL || !ledger_identify(run->source, &run->dumped, err)) {
            return error_prefix(err, "opening %s %s of schedule %s",
                                schedule->all_databases    ? "database"
                                : schedule->dbname != NULL ? "target_dbname"
                                                           : "target_service",
                                schedule->dbname != NULL ? schedule->dbname : schedule->service,
                                schedule->name);
        }
    }
    session_facts(run->source, &server);
    snprintf(run->result->database, sizeof(run->result->database), "%s", server.database);
    return run->source == run->claim.session ||
           backup_history_note_database(run->claim.session, run->claim.run_id, server.database,
                                        err);
}

static void close_source(struct run *run)
{
    if (run->source != run->claim.session) {
        session_close(run->source);
    }
}

static bool run_before(struct run *run, bool *skipped, struct error *err)
{
    const struct hook hook = {
        .event = HOOK_BEFORE, .request = run->request, .result = run->result, .status = "started"};

    return hook_run(&hook, skipped, err);
}

/* With the claim still taken: no other run begins meanwhile. Invariant I7: what fails here changes
 * nothing about the backup. */
static void run_afterwards(struct run *run, const struct error *problem)
{
    struct backup_result *result = run->result;
    struct error err = ERROR_INIT;
    bool completed = result->status == BACKUP_COMPLETED;
    const struct hook hook = {
        .event = completed ? HOOK_AFTER : HOOK_ON_FAILURE,
        .request = run->request,
        .result = result,
        .status = completed                            ? "completed"
                  : result->status == BACKUP_UNSETTLED ? "unknown"
                                                       : "failed",
        .error = completed ? NULL : problem->text,
    };

    if (!hook_run(&hook, NULL, &err)) {
        result->hook_failed = true;
        log_warning("hook_failed", "%s", err.text);
    }
}

/* The best-effort stores come later, where they cannot hold this up. */
static bool prepare_stores(struct run *run, bool *covered, struct error *err)
{
    const struct store_choice *stores = run->request->stores;
    bool ok = true;

    for (size_t i = 0; ok && i < stores->required_count; i++) {
        ok = store_prepare(stores->stores[i], err);
    }
    for (size_t i = 0; ok && run->request->scheduled && !*covered && i < stores->required_count;
         i++) {
        ok = adoption_before_run(&run->claim, stores->stores[i], covered, err);
    }
    return ok;
}

/* What can be found out before the dump begins. *covered: the ledger had forgotten a backup of this
 * very occurrence. */
static bool prepare(struct run *run, bool *covered, struct error *err)
{
    const struct backup_request *request = run->request;

    if (!open_source(run, err)) {
        return false;
    }
    session_password_tell_exposure(run->source);
    struct dump_options dump = {.session = run->source, .settings = request->settings};
    const struct scope *scope = request->scope != NULL ? request->scope : &request->schedule->scope;
    return scope_copy(scope, &run->scope, err) && dump_check(&dump, err) &&
           server_locale_read(run->source, run->result->database, &run->publication.locale, err) &&
           prepare_stores(run, covered, err);
}

static void fill(struct backup_result *result, const struct claim *claim,
                 const struct schedule *schedule)
{
    struct server_facts server;

    session_facts(claim->session, &server);
    snprintf(result->history_id, sizeof(result->history_id), "%s", claim->history_id);
    snprintf(result->run_id, sizeof(result->run_id), "%s", claim->run_id);
    snprintf(result->name, sizeof(result->name), "%s", claim->name);
    snprintf(result->database, sizeof(result->database), "%s",
             schedule->dbname != NULL ? schedule->dbname : server.database);
}

/* With the claim taken: a tick that finds the lock held has one line to say, not these. */
static void tell_start(const struct backup_request *request, const struct claim *claim)
{
    const struct schedule *schedule = request->schedule;

    if (request->scheduled) {
        log_write(&LOG_WITH(LOG_INFO, LOG_MARK_MATCHED, "schedule_due",
                            LOG_TEXT("schedule_id", schedule->id),
                            LOG_NUMBER("attempt", schedule->attempt)),
                  "Scheduled time matched: %s %s - executing backup...", schedule->time,
                  schedule->zone);
        log_info(LOG_MARK_BACKUP, "backup_begins", "Creating scheduled database backup...");
    }
    log_write(&LOG_WITH(LOG_INFO, LOG_MARK_NONE, "backup_started", LOG_TEXT("name", claim->name),
                        LOG_TEXT("run_id", claim->run_id),
                        LOG_TEXT("schedule_id", claim->schedule_id)),
              "Starting database backup...");
}

/* Of a silent run nobody hears. `own` is for a run that stands alone. */
static void begin_ping(struct ping *own, const struct backup_request *request)
{
    struct ping *ping = request->ping != NULL ? request->ping : own;

    if (!request->silent && ping->settings == NULL) {
        ping_begin(ping, request->settings, request->schedule->name);
    }
}

static void conclude(struct run *run, bool ok, bool covered, bool skipped)
{
    struct backup_result *result = run->result;

    result->duration_ms = claim_elapsed_ms(&run->claim);
    result->ended_ms = run->claim.begun_ms + result->duration_ms;
    result->phases.server_offset_ms = run->claim.begun_ms - run->claim.begun_mono_ms;
    if (ok) {
        result->status = covered ? BACKUP_NOT_DUE : skipped ? BACKUP_SKIPPED : BACKUP_COMPLETED;
        run->publication.facts.duration_ms = result->duration_ms;
    }
}

static bool run_claimed(struct run *run, struct error *err)
{
    struct backup_result *result = run->result;
    bool covered = false;
    bool skipped = false;
    struct ping own = {.settings = NULL};

    fill(result, &run->claim, run->request->schedule);
    run_phases_enter(&result->phases, PHASE_PREPARE);
    begin_ping(&own, run->request);
    tell_start(run->request, &run->claim);
    bool ok = prepare(run, &covered, err) &&
              (covered || (run_before(run, &skipped, err) && (skipped || run_transfer(run, err))));
    run_phases_leave(&result->phases, ok);
    close_source(run);
    conclude(run, ok, covered, skipped);
    run_phases_enter(&result->phases, PHASE_RECORD);
    if (result->status == BACKUP_COMPLETED) {
        ok = run_record_completed(run, err);
    } else if (result->status == BACKUP_SKIPPED) {
        run_record_skipped(run, err);
    } else if (result->status == BACKUP_FAILED) {
        run_record_failed(run, err);
    }
    run_phases_leave(&result->phases, ok || result->status == BACKUP_FAILED);
    if (!covered && !skipped) {
        run_afterwards(run, err);
    }
    claim_close(&run->claim);
    ping_end(&own, ok || result->status == BACKUP_COMPLETED ? NULL : err->text);
    return ok;
}

static bool take_claim(struct run *run, enum claim_result *claimed, struct error *err)
{
    const struct backup_request *request = run->request;
    const struct claim_request claim_request = {
        .session = request->session,
        .schedule = request->schedule,
        .stores = request->stores,
        .catch_up_s = settings_get_number(request->settings, SETTING_CATCH_UP),
        .suffix = compression_suffix(request->compression.method),
        .scheduled = request->scheduled,
        .silent = request->silent,
    };

    return claim_take(&claim_request, &run->claim, claimed, err);
}

bool backup_run(const struct backup_request *request, struct backup_result *result,
                struct error *err)
{
    enum claim_result claimed = CLAIM_NOT_DUE;
    struct run *run = calloc(1, sizeof(*run));

    *result = (struct backup_result){.status = BACKUP_FAILED};
    run_phases_enter(&result->phases, PHASE_CLAIM);
    if (run == NULL) {
        return error_set_memory(err);
    }
    *run = (struct run){
        .request = request, .claim = CLAIM_INIT, .result = result, .dump = DUMP_RESULT_INIT};
    run->publication = (struct publication){.stores = request->stores,
                                            .claim = &run->claim,
                                            .dump = &run->dump,
                                            .retention_days = request->schedule->retention_days};
    bool ok = take_claim(run, &claimed, err);
    if (ok && claimed == CLAIM_TAKEN) {
        ok = run_claimed(run, err);
    } else if (ok) {
        result->status = claimed == CLAIM_LOCKED    ? BACKUP_LOCKED
                         : claimed == CLAIM_CHANGED ? BACKUP_CHANGED
                                                    : BACKUP_NOT_DUE;
    }
    if (!run->left_behind) {
        publication_clear(&run->publication);
        dump_result_clear(&run->dump);
        scope_clear(&run->scope);
        free(run);
    }
    return ok;
}
