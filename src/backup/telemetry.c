#include "backup/telemetry.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backup/standing.h"
#include "base/log.h"
#include "base/stop.h"
#include "base/text.h"
#include "metrics/exporter.h"

#define HOST_SIZE 256

static void copy(char *out, size_t size, const char *text)
{
    size_t length = text != NULL ? strnlen(text, size - 1) : 0;

    if (length > 0) {
        memcpy(out, text, length);
    }
    out[length] = '\0';
    text_cut_utf8(out);
}

/* A rehearsal's instants would be taken for real ones. */
static bool is_wanted(const struct telemetry *telemetry)
{
    return telemetry->session->clock_shift_ms == 0 && exporter_is_wanted(telemetry->settings);
}

/* The next event, empty; NULL when it is not to be told, or memory is out. */
static struct metrics_event *add(struct telemetry *telemetry, enum metrics_event_kind kind)
{
    if (!is_wanted(telemetry) || telemetry->count == TELEMETRY_MOST_EVENTS) {
        return NULL;
    }
    struct metrics_event *longer =
        reallocarray(telemetry->events, telemetry->count + 1, sizeof(*longer));

    if (longer == NULL) {
        log_warning("metrics_event_lost", "no memory for an event: it is not in the metrics");
        return NULL;
    }
    telemetry->events = longer;
    struct metrics_event *event = &longer[telemetry->count++];
    *event = (struct metrics_event){.kind = kind};
    return event;
}

void telemetry_begin(struct telemetry *telemetry, const struct settings *settings,
                     const struct session_options *session)
{
    *telemetry = (struct telemetry){
        .settings = settings,
        .session = session,
        .left_ms = TELEMETRY_MS,
    };
}

void telemetry_clear(struct telemetry *telemetry)
{
    free(telemetry->events);
    telemetry->events = NULL;
    telemetry->count = 0;
}

void telemetry_note_run(struct telemetry *telemetry, const struct backup_request *request,
                        const struct backup_result *result, const struct error *problem)
{
    const struct schedule *schedule = request->schedule;
    bool is_good = result->status == BACKUP_COMPLETED;
    struct metrics_event *event = add(telemetry, METRICS_BACKUP);

    if (event == NULL) {
        return;
    }
    copy(event->run_id, sizeof(event->run_id), result->run_id);
    copy(event->schedule_id, sizeof(event->schedule_id), schedule->id);
    copy(event->schedule, sizeof(event->schedule), schedule->name);
    copy(event->backup, sizeof(event->backup), result->name);
    copy(event->database, sizeof(event->database), result->database);
    copy(event->problem, sizeof(event->problem), is_good ? NULL : problem->text);
    event->is_good = is_good;
    event->ended_ms = result->ended_ms;
    event->duration_ms = result->duration_ms;
    event->bytes = result->object.bytes;
    event->raw_bytes = result->raw_bytes;
    event->has_rows = is_good && result->has_rows;
    event->rows = result->rows;
    event->tables = result->tables;
    if (result->run_id[0] != '\0') {
        event->phases = result->phases;
    }
}

/* A run that could not begin has no place on the server's clock. */
static void enter(struct metrics_event *event, enum run_phase phase)
{
    if (event->kind == METRICS_BACKUP && event->run_id[0] != '\0') {
        run_phases_enter(&event->phases, phase);
    }
}

void telemetry_enter(struct telemetry *telemetry, enum run_phase phase)
{
    if (telemetry->count > 0) {
        enter(&telemetry->events[telemetry->count - 1], phase);
    }
}

void telemetry_enter_all(struct telemetry *telemetry, enum run_phase phase)
{
    for (size_t i = 0; i < telemetry->count; i++) {
        enter(&telemetry->events[i], phase);
    }
}

void telemetry_leave(struct telemetry *telemetry, bool ok)
{
    for (size_t i = 0; i < telemetry->count; i++) {
        run_phases_leave(&telemetry->events[i].phases, ok);
    }
}

void telemetry_note_verification(struct telemetry *telemetry, const struct backup_object *backup,
                                 const struct verify_outcome *outcome, const struct error *problem)
{
    const struct backup_facts *facts = &backup->facts;
    const struct proof_result *proof = &outcome->proof;
    bool is_good = outcome->verdict == VERIFY_GOOD;
    struct metrics_event *event = add(telemetry, METRICS_VERIFICATION);

    if (event == NULL) {
        return;
    }
    copy(event->run_id, sizeof(event->run_id), facts->run_id);
    copy(event->schedule_id, sizeof(event->schedule_id), facts->schedule_id);
    copy(event->backup, sizeof(event->backup), backup->object->name);
    copy(event->database, sizeof(event->database), facts->database);
    copy(event->problem, sizeof(event->problem), is_good ? NULL : problem->text);
    event->is_good = is_good;
    event->duration_ms = proof->duration_ms;
    event->has_rows = is_good && proof->has_rows;
    event->rows = proof->rows;
    event->tables = proof->tables;
}

/* What the ledger knows of an event better than who noted it. */
static void complete(struct telemetry *telemetry, const struct standing *standing)
{
    for (size_t e = 0; e < telemetry->count; e++) {
        struct metrics_event *event = &telemetry->events[e];
        event->ended_ms = event->ended_ms != 0 ? event->ended_ms : standing->now_ms;
        for (size_t i = 0; event->schedule[0] == '\0' && i < standing->count; i++) {
            const struct metrics_schedule *schedule = &standing->schedules[i];
            if (strcmp(schedule->id, event->schedule_id) == 0) {
                copy(event->schedule, sizeof(event->schedule), schedule->name);
            }
        }
    }
}

/* Without the ledger's clock (I8) an event has no time and is not told. */
static void forget_timeless(struct telemetry *telemetry)
{
    size_t kept = 0;

    for (size_t i = 0; i < telemetry->count; i++) {
        if (telemetry->events[i].ended_ms != 0) {
            telemetry->events[kept++] = telemetry->events[i];
        }
    }
    telemetry->count = kept;
}

/* The number of exporters that failed. */
static size_t tell(struct telemetry *telemetry, const struct standing *standing,
                   const struct deadline *deadline)
{
    char host[HOST_SIZE];
    struct metrics_report report = {
        .host = host,
        .ledger = standing->ledger,
        .has_schedules = standing->schedules != NULL,
        .schedules = standing->schedules,
        .schedule_count = standing->count,
        .now_ms = standing->now_ms,
        .events = telemetry->events,
        .event_count = telemetry->count,
    };

    if (gethostname(host, sizeof(host)) != 0) {
        host[0] = '\0';
    }
    host[sizeof(host) - 1] = '\0';
    text_cut_utf8(host);
    return exporter_send(telemetry->settings, &report, deadline);
}

bool telemetry_is_stale(const struct telemetry *telemetry)
{
    return is_wanted(telemetry) && exporter_is_stale(telemetry->settings);
}

bool telemetry_export(struct telemetry *telemetry)
{
    struct standing standing = {.schedules = NULL};
    struct deadline deadline = deadline_in_ms(telemetry->left_ms);
    struct error problem = ERROR_INIT;

    if (!is_wanted(telemetry) || stop_signal() != 0) {
        return true;
    }
    bool read = standing_read(telemetry->session,
                              settings_get_number(telemetry->settings, SETTING_CATCH_UP), &deadline,
                              &standing, &problem);
    if (read) {
        complete(telemetry, &standing);
    } else {
        log_warning("metrics_not_read", "Metrics of the schedules could not be read: %s",
                    problem.text);
        forget_timeless(telemetry);
    }
    size_t failed = tell(telemetry, &standing, &deadline);
    standing_clear(&standing);
    telemetry_clear(telemetry);
    telemetry->left_ms = deadline_left_ms(&deadline);
    return read && failed == 0;
}
