/* Proof that backups are good. */

#include <string.h>

#include "backup/verify.h"
#include "base/log.h"
#include "base/stop.h"
#include "commands/chosen_backup.h"
#include "commands/command.h"
#include "commands/context.h"
#include "commands/delivery.h"
#include "commands/output.h"

enum { OPTION_QUICK, OPTION_ALL, OPTION_SERVER, OPTION_JSON };

struct verifying {
    struct context *context;
    const struct invocation *invocation;
    struct session_options server;
    json_t *results; /* or NULL */
    size_t bad;
    size_t unknown;
    size_t degraded;
};

static const char *verdict_name(enum verify_verdict verdict)
{
    switch (verdict) {
    case VERIFY_GOOD:
        return "good";
    case VERIFY_BAD:
        return "bad";
    case VERIFY_UNKNOWN:
        break;
    }
    return "unknown";
}

static void note(struct verifying *verifying, const struct backup_choice *choice,
                 const struct verify_outcome *outcome, const char *problem)
{
    const struct proof_result *proof = &outcome->proof;

    if (verifying->results == NULL) {
        return;
    }
    json_array_append_new(
        verifying->results,
        json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:I, s:I}", "name", choice->object.name, "store",
                  choice->store->location, "verdict", verdict_name(outcome->verdict), "problem",
                  output_json_text(problem), "tables",
                  output_json_count(proof->has_rows, proof->tables), "rows",
                  output_json_count(proof->has_rows, proof->rows), "raw_bytes",
                  (json_int_t)proof->raw_bytes, "duration_ms", (json_int_t)proof->duration_ms));
}

static void degrade(struct verifying *verifying, const struct error *problem)
{
    verifying->degraded++;
    log_warning("degraded", "%s", problem->text);
}

static void verify_one(struct verifying *verifying, struct backup_choice *choice)
{
    struct context *context = verifying->context;
    const struct verify_request request = {
        .settings = &context->settings,
        .ledger = &context->session_options,
        .server = &verifying->server,
        .choice = choice,
        .stores = &context->stores,
        .quick = verifying->invocation->options[OPTION_QUICK] != NULL,
        .show_progress = context_wants_progress(context, verifying->invocation),
        .telemetry = &context->telemetry,
    };
    struct verify_outcome outcome;
    struct error problem = ERROR_INIT;

    if (!verify_backup(&request, &outcome, &problem)) {
        verifying->bad += outcome.verdict == VERIFY_BAD;
        verifying->unknown += outcome.verdict == VERIFY_UNKNOWN;
        log_write(&LOG_LINE(LOG_ERROR, LOG_MARK_FAILED, "verification_failed"), "%s%s",
                  outcome.verdict == VERIFY_BAD ? "The backup is not good: " : "", problem.text);
    }
    if (outcome.degraded.kind != ERROR_NONE) {
        degrade(verifying, &outcome.degraded);
    }
    note(verifying, choice, &outcome, problem.text);
}

/* In a store that comes before, too: then it has been verified as a copy of the same. */
static bool is_seen(const struct store_plans *plans, size_t store,
                    const struct backup_object *backup)
{
    for (size_t s = 0; s < store; s++) {
        if (prune_has_copy(&plans->items[s], backup)) {
            return true;
        }
    }
    return false;
}

static void verify_in_any_store(struct verifying *verifying, const char *name)
{
    struct backup_choice choice = {.store = NULL};
    struct error problem = ERROR_INIT;

    if (backup_choice_find(&verifying->context->stores, NULL, name, &choice, &problem)) {
        verify_one(verifying, &choice);
    } else {
        verifying->unknown++;
        log_write(&LOG_LINE(LOG_ERROR, LOG_MARK_FAILED, "verification_failed"), "%s", problem.text);
    }
    backup_choice_clear(&choice);
}

static bool verify_all(struct verifying *verifying, struct error *err)
{
    struct context *context = verifying->context;
    struct schedules schedules = {.items = NULL};
    struct store_plans plans = {.items = NULL};
    struct error problem = ERROR_INIT;

    if (!context_read_schedules(context, &schedules, &problem)) {
        error_prefix(&problem, "only the configured store was looked at");
        degrade(verifying, &problem);
    }
    bool ok =
        store_plans_open(context, &schedules, &plans, err) && store_plans_list(&plans, NULL, err);
    for (size_t s = 0; ok && s < plans.stores->count; s++) {
        verifying->bad += plans.items[s].not_whole;
        for (size_t i = 0; i < plans.items[s].count && stop_signal() == 0; i++) {
            const struct backup_object *backup = &plans.items[s].items[i].backup;
            if (!is_seen(&plans, s, backup)) {
                verify_in_any_store(verifying, backup->object->name);
            }
        }
    }
    verifying->degraded += plans.left_out;
    store_plans_clear(&plans);
    backup_schedule_clear(&schedules);
    return ok && stop_check(err);
}

static bool verify_chosen(struct verifying *verifying, struct error *err)
{
    const struct invocation *invocation = verifying->invocation;
    const char *wanted =
        invocation->argument_count > 0 ? invocation->arguments[0] : BACKUP_CHOICE_LATEST;
    struct chosen_backup chosen;
    bool ok = chosen_backup_open(verifying->context, wanted, &chosen, err);

    if (ok) {
        verifying->bad += chosen.choice.passed_over;
        verify_one(verifying, &chosen.choice);
    }
    chosen_backup_clear(&chosen);
    return ok && stop_check(err);
}

static void deliver(struct verifying *verifying)
{
    struct error problem = ERROR_INIT;
    size_t unsent;

    if (!delivery_run(verifying->context, &unsent, &problem)) {
        error_prefix(&problem, "notifying");
        degrade(verifying, &problem);
    }
    verifying->degraded += unsent;
}

static bool check_options(const struct invocation *invocation, struct error *err)
{
    if (invocation->options[OPTION_ALL] != NULL && invocation->argument_count > 0) {
        return error_set(err, ERROR_USAGE, "verify --all takes no name");
    }
    if (invocation->options[OPTION_QUICK] != NULL && invocation->options[OPTION_SERVER] != NULL) {
        return error_set(err, ERROR_USAGE,
                         "verify --quick restores nothing, and so needs no --server");
    }
    return true;
}

static bool conclude(const struct verifying *verifying, struct error *err)
{
    if (verifying->bad + verifying->unknown > 0) {
        return error_set(err, ERROR_FAILED, "%s", "");
    }
    return verifying->degraded == 0 || error_set(err, ERROR_DEGRADED, "%s", "");
}

static bool run(struct context *context, const struct invocation *invocation, struct error *err)
{
    struct verifying verifying = {
        .context = context, .invocation = invocation, .server = context->session_options};

    if (!check_options(invocation, err)) {
        return false;
    }
    context_verify_server(context, invocation->options[OPTION_SERVER], &verifying.server);
    verifying.results = invocation->options[OPTION_JSON] != NULL ? json_array() : NULL;
    bool ok = invocation->options[OPTION_ALL] != NULL ? verify_all(&verifying, err)
                                                      : verify_chosen(&verifying, err);
    if (verifying.bad > 0 && stop_signal() == 0) {
        deliver(&verifying);
    }
    if (context->telemetry.count > 0) {
        verifying.degraded += !telemetry_export(&context->telemetry);
    }
    if (ok && verifying.results != NULL) {
        ok = output_json(json_pack("{s:O}", "backups", verifying.results), err);
    }
    json_decref(verifying.results);
    return ok && conclude(&verifying, err);
}

const struct command command_verify = {
    .name = "verify",
    .arguments = "[NAME]",
    .most_arguments = 1,
    .summary = "prove that a backup is good",
    .description =
        "Restores the backup NAME (default: latest) into a scratch database, reads every table\n"
        "there again, compares rows and fingerprints with those taken when it was made, and drops\n"
        "the database. The outcome goes into the ledger; a backup that is not good is mailed. "
        "With\n"
        "--quick it is read to its end and compared with its manifest, but not restored.",
    .options = {{"quick", NULL, "read the backup, restore nothing"},
                {"all", NULL, "verify every backup"},
                {"server", "CONNINFO",
                 "where the scratch database is made (default RYTHM_BACKUP_VERIFY_SERVER, else the "
                 "server of --database)"},
                {"json", NULL, "print the outcome as JSON"}},
    .needs_store = true,
    .run = run,
};
