/* One look at how the backups stand; its exit code is for probes. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "commands/command.h"
#include "commands/context.h"
#include "commands/credential_view.h"
#include "commands/notification_view.h"
#include "commands/output.h"
#include "commands/schedule_view.h"
#include "postgres/backup_copies.h"
#include "postgres/delivery_status.h"
#include "postgres/schedule_status.h"
#include "store/store.h"

enum { OPTION_NEXT, OPTION_NOW, OPTION_JSON };

#define NOTE_CAP       4096
#define ERROR_SHOWN    200
#define OUTCOME_FAILED "failed"

/* What was read: the schedules, how their runs stand, and what comes next. */
struct look {
    struct schedule_statuses statuses;
    struct schedules schedules;
    struct schedule_details_list details;
    struct schedule_view view;
    struct copy_rows amiss;
    struct delivery_status deliveries;
    struct store_credentials credentials;
};

/* One schedule's part of it. */
struct verdict {
    const struct schedule *schedule;
    const struct schedule_status *status; /* or NULL */
    bool wrong;
    bool overdue;
    bool failed;
    bool refuted;
    bool running;
    bool interrupted;
    size_t missing;          /* copies of its backups, in any store */
    size_t missing_required; /* of an enabled schedule, in a store that is required */
    size_t damaged;
};

static struct verdict judge(const struct look *look, size_t index)
{
    const struct schedule *schedule = look->view.items[index];
    const struct schedule_status *status = schedule_status_find(&look->statuses, schedule->id);

    struct verdict verdict = {
        .schedule = schedule,
        .status = status,
        .wrong = schedule->state == SCHEDULE_INVALID,
        .overdue = schedule_status_is_overdue(status),
        .failed = schedule_status_has_failed(status, schedule),
        .refuted = schedule_status_is_refuted(status, schedule),
        .running = schedule_status_is_running(status),
        .interrupted = schedule_status_is_interrupted(status),
    };
    for (size_t i = 0; i < look->amiss.count; i++) {
        const struct copy_row *copy = &look->amiss.items[i];
        if (strcmp(copy->schedule_id, schedule->id) == 0) {
            bool damaged = copy->state == COPY_DAMAGED;
            verdict.damaged += damaged;
            verdict.missing += !damaged;
            verdict.missing_required += !damaged && copy->required && schedule->enabled;
        }
    }
    return verdict;
}

/* What makes the exit code 1. */
static bool is_bad(const struct verdict *verdict)
{
    return verdict->wrong || verdict->overdue || verdict->failed || verdict->refuted ||
           verdict->missing_required > 0;
}

static const char *word_for(const struct verdict *verdict)
{
    return verdict->wrong                  ? "wrong"
           : verdict->overdue              ? "overdue"
           : verdict->failed               ? OUTCOME_FAILED
           : verdict->refuted              ? "verify-failed"
           : verdict->missing_required > 0 ? "copies-missing"
           : verdict->running              ? "running"
           : verdict->interrupted          ? "interrupted"
           : !verdict->schedule->enabled   ? "disabled"
                                           : "ok";
}

static void append_note(struct text *note, const char *what, int64_t instant_ms, int64_t now_ms)
{
    char when[SCHEDULE_VIEW_WITH_AGE_SIZE];

    schedule_view_with_age(when, instant_ms, now_ms);
    text_appendf(note, "%s%s %s", note->length > 0 ? "; " : "", what, when);
}

static void append_reason(struct text *note, const char *error)
{
    const char *reason = error != NULL ? error : "no reason is recorded";

    text_appendf(note, ": %.*s%s", ERROR_SHOWN, reason, strlen(reason) > ERROR_SHOWN ? "..." : "");
}

static void append_count(struct text *note, size_t count, const char *what)
{
    if (count > 0) {
        text_appendf(note, "%s%zu cop%s %s", note->length > 0 ? "; " : "", count,
                     count == 1 ? "y is" : "ies are", what);
    }
}

/* Why the word is what it is, and what goes on beside it. */
static void describe(const struct verdict *verdict, int64_t now_ms, struct text *note)
{
    const struct schedule_status *status = verdict->status;

    if (verdict->wrong) {
        text_append(note, verdict->schedule->problem);
    }
    if (verdict->overdue) {
        append_note(note, "not made: the backup of", status->missing_ms, now_ms);
    }
    if (verdict->running) {
        append_note(note, "being made since", status->started_ms, now_ms);
    }
    if (verdict->interrupted) {
        append_note(note, "interrupted, and the next check resolves it: the run of",
                    status->started_ms, now_ms);
    }
    if (verdict->failed) {
        append_note(note, "failed", status->finished_ms, now_ms);
        append_reason(note, status->error);
    }
    if (verdict->refuted) {
        append_note(note, "verification failed", status->refuted_ms, now_ms);
        text_appendf(note, " of %s", status->refuted_name);
        append_reason(note, status->verify_error);
    }
    append_count(note, verdict->missing, "missing");
    append_count(note, verdict->damaged, "damaged");
}

static void add_row(struct output_table *table, const struct verdict *verdict, int64_t now_ms)
{
    const struct schedule *schedule = verdict->schedule;
    const struct schedule_status *status = verdict->status;
    struct text note = TEXT_INIT(NOTE_CAP);
    char last[SCHEDULE_VIEW_WITH_AGE_SIZE] = "never";
    char verified[SCHEDULE_VIEW_WITH_AGE_SIZE] = "never";
    char next[SCHEDULE_VIEW_MINUTE_SIZE] = "-";

    if (status != NULL && status->has_completed) {
        schedule_view_with_age(last, status->completed_ms, now_ms);
    }
    if (status != NULL && status->verified_name[0] != '\0') {
        schedule_view_with_age(verified, status->verified_ms, now_ms);
    }
    if (schedule_view_has_next(schedule)) {
        schedule_view_minute(next, schedule->next_ms);
    }
    describe(verdict, now_ms, &note);
    const char *shown = note.length > 0 ? text_string(&note) : "-";
    output_table_add(
        table, (const char *[]){schedule->name, word_for(verdict), last, verified, next, shown});
    text_clear(&note);
}

/* With -q only what is bad, so that there is no output when all is well. */
static bool print_table(const struct look *look, bool only_bad, bool upcoming, struct error *err)
{
    struct output_table table = OUTPUT_TABLE_INIT(6);
    bool header = false;

    for (size_t i = 0; i < look->view.count; i++) {
        struct verdict verdict = judge(look, i);
        if (only_bad && !is_bad(&verdict)) {
            continue;
        }
        if (!header) {
            output_table_add(&table, (const char *[]){"SCHEDULE", "STATUS", "LAST COMPLETED",
                                                      "VERIFIED", "NEXT", "NOTE"});
            header = true;
        }
        add_row(&table, &verdict, look->schedules.now_ms);
    }
    if (!output_table_print(&table, err)) {
        return false;
    }
    if (!only_bad) {
        notification_view_print(&look->deliveries, look->schedules.now_ms);
        credential_view_print(&look->credentials, look->schedules.now_ms);
    }
    return !upcoming || only_bad || schedule_view_print_upcoming(&look->view, err);
}

static bool add_verification(json_t *object, const struct schedule_status *status, bool refuted)
{
    json_t *added =
        json_pack("{s:o, s:o, s:b, s:o, s:o, s:o}", "last_verified",
                  output_json_instant(status->verified_name[0] != '\0', status->verified_ms),
                  "last_verified_backup", output_json_text(status->verified_name),
                  "verification_failed", refuted, "verify_failed_at",
                  output_json_instant(status->refuted_name[0] != '\0', status->refuted_ms),
                  "verify_failed_backup", output_json_text(status->refuted_name), "verify_error",
                  output_json_text(status->verify_error));
    bool ok = added != NULL && json_object_update(object, added) == 0;

    json_decref(added);
    return ok;
}

static json_t *amiss_json(const struct look *look, const struct schedule *schedule)
{
    json_t *list = json_array();

    for (size_t i = 0; i < look->amiss.count; i++) {
        const struct copy_row *copy = &look->amiss.items[i];
        if (strcmp(copy->schedule_id, schedule->id) == 0) {
            json_array_append_new(
                list, json_pack("{s:o, s:o, s:s, s:b, s:o}", "name", output_json_text(copy->name),
                                "store", output_json_text(copy->store), "state",
                                backup_copies_state_name(copy->state), "required", copy->required,
                                "error", output_json_text(copy->error)));
        }
    }
    return list;
}

static json_t *to_json(const struct look *look, size_t index, bool upcoming)
{
    static const struct schedule_status none = {.error = NULL};
    static const struct schedule_details no_details = {.has_catch_up = false};
    struct verdict verdict = judge(look, index);
    const struct schedule *schedule = verdict.schedule;
    const struct schedule_status *status = verdict.status != NULL ? verdict.status : &none;
    bool finished = status->outcome[0] != '\0';

    json_t *object = json_pack(
        "{s:s, s:o, s:b, s:s, s:s, s:o, s:b, s:b, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
        "schedule", schedule->id, "schedule_name",
        output_json_text(schedule->is_named ? schedule->name : NULL), "enabled", schedule->enabled,
        "status", word_for(&verdict), "state", backup_schedule_state_name(schedule->state),
        "problem", output_json_text(schedule->problem), "overdue", verdict.overdue, "last_failed",
        verdict.failed, "running", verdict.running, "interrupted", verdict.interrupted, "started",
        output_json_instant(status->started > 0, status->started_ms), "last_completed",
        output_json_instant(status->has_completed, status->completed_ms), "last_finished",
        output_json_instant(finished, status->finished_ms), "last_outcome",
        output_json_text(status->outcome), "last_error", output_json_text(status->error),
        "occurrence", output_json_instant(schedule->has_occurrence, schedule->occurrence_ms),
        "next", output_json_instant(schedule_view_has_next(schedule), schedule->next_ms));
    if (object != NULL &&
        (!add_verification(object, status, verdict.refuted) ||
         json_object_set_new(object, "copies_amiss", amiss_json(look, schedule)) != 0)) {
        json_decref(object);
        return NULL;
    }
    if (object != NULL && upcoming) {
        const struct schedule_details *details =
            schedule_details_find(&look->details, schedule->id);
        json_object_set_new(object, "upcoming",
                            schedule_view_json_upcoming(details != NULL ? details : &no_details));
    }
    return object;
}

static bool print_json(const struct look *look, bool fine, bool upcoming, struct error *err)
{
    json_t *list = json_array();

    for (size_t i = 0; list != NULL && i < look->view.count; i++) {
        if (json_array_append_new(list, to_json(look, i, upcoming)) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    if (list == NULL) {
        return error_set_memory(err);
    }
    int64_t now_ms = look->schedules.now_ms;
    return output_json(
        json_pack("{s:o, s:b, s:I, s:o, s:o, s:o}", "now", output_json_instant(true, now_ms),
                  "fine", fine, "pending_mails", (json_int_t)look->deliveries.waiting,
                  "notifications", notification_view_json(&look->deliveries), "credentials",
                  credential_view_json(&look->credentials, now_ms), "schedules", list),
        err);
}

static bool take_look(struct context *context, bool upcoming, struct look *look, struct error *err)
{
    struct session *session = NULL;

    bool ok = context_connect(context, &session, err) &&
              schedule_status_read(session, &look->statuses, err) &&
              backup_copies_read_amiss(session, &look->amiss, err) &&
              delivery_status_read(session, &look->deliveries, err) &&
              context_read_schedules_in(context, session, &look->schedules, err) &&
              (!upcoming || schedule_details_read(session, true, &look->details, err)) &&
              schedule_view_select(&look->schedules, NULL, &look->details, &look->view, err) &&
              store_credentials_read(&context->settings, &look->credentials, err);
    session_close(session);
    if (ok) {
        context_judge_stores(context, &look->schedules);
    }
    return ok;
}

static bool is_fine(const struct look *look)
{
    for (size_t i = 0; i < look->view.count; i++) {
        struct verdict verdict = judge(look, i);
        if (is_bad(&verdict)) {
            return false;
        }
    }
    return true;
}

static bool run(struct context *context, const struct invocation *invocation, struct error *err)
{
    struct look look = {.statuses = {.items = NULL}};
    bool upcoming = invocation->options[OPTION_NEXT] != NULL;
    bool fine = false;
    const char *now = invocation->options[OPTION_NOW];

    bool ok = (now == NULL || context_pretend_now(context, now, err)) &&
              take_look(context, upcoming, &look, err);
    if (ok) {
        fine = is_fine(&look);
        ok = invocation->options[OPTION_JSON] != NULL
                 ? print_json(&look, fine, upcoming, err)
                 : print_table(&look, invocation->quiet, upcoming, err);
    }
    schedule_view_clear(&look.view);
    backup_copies_clear(&look.amiss);
    schedule_details_clear(&look.details);
    backup_schedule_clear(&look.schedules);
    schedule_status_clear(&look.statuses);
    delivery_status_clear(&look.deliveries);
    store_credentials_clear(&look.credentials);
    /* The output has told why. */
    return ok && (fine || error_set(err, ERROR_FAILED, "%s", ""));
}

const struct command command_status = {
    .name = "status",
    .arguments = "",
    .summary = "one look: last and next runs, failures, what is overdue; exit code for probes",
    .description =
        "Prints how each schedule stands. Exits 0 when all is well, 1 when an enabled schedule\n"
        "is overdue or wrong, when its last backup or its last verification failed, when one of\n"
        "its backups is missing in a required store, or when the database cannot be asked.\n"
        "Overdue: a backup is more than 10 minutes late, not being made, and none came after it.\n"
        "With --quiet only the schedules that are not well are printed.",
    .options = {{"next", NULL, "also print the next five times of each schedule"},
                {"now", "TIMESTAMP", "pretend that it is this time (UTC unless it says otherwise)"},
                {"json", NULL, "print it as JSON"}},
    .run = run,
};
