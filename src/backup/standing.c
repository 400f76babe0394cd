#include "backup/standing.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "postgres/backup_schedule.h"
#include "postgres/run_figures.h"
#include "postgres/schedule_status.h"

/* What the ledger says. */
struct readings {
    struct schedule_statuses statuses;
    struct schedules schedules;
    struct run_figures_list figures;
};

/* No statement takes longer than is left then. */
static bool read_all(struct session *session, int64_t catch_up_s, const struct deadline *deadline,
                     struct readings *out, struct error *err)
{
    session_limit(session, deadline_left_ms(deadline));
    if (!schedule_status_read(session, &out->statuses, err)) {
        return false;
    }
    session_limit(session, deadline_left_ms(deadline));
    if (!backup_schedule_read(session, catch_up_s, &out->schedules, err)) {
        return false;
    }
    session_limit(session, deadline_left_ms(deadline));
    return run_figures_read(session, &out->figures, err);
}

static void clear(struct readings *readings)
{
    schedule_status_clear(&readings->statuses);
    backup_schedule_clear(&readings->schedules);
    run_figures_clear(&readings->figures);
}

static void set(struct metrics_schedule *out, enum metric_id id, int64_t value)
{
    out->values[id] = (struct metric_value){.known = true, .value = value};
}

static void set_instant(struct metrics_schedule *out, enum metric_id id, bool known,
                        int64_t instant_ms)
{
    if (known) {
        set(out, id, instant_ms / 1000);
    }
}

static void set_figure(struct metrics_schedule *out, enum metric_id id, struct run_figure figure)
{
    if (figure.known) {
        set(out, id, figure.value);
    }
}

static void fill_schedule(struct metrics_schedule *out, const struct schedule *schedule)
{
    set(out, METRIC_ENABLED, schedule->enabled);
    set(out, METRIC_INVALID, schedule->enabled && schedule->problem[0] != '\0');
    set(out, METRIC_VERIFY_EVERY, schedule->verify_every);
    if (schedule->has_occurrence) {
        set(out, METRIC_EXPECTED_INTERVAL, (schedule->next_ms - schedule->occurrence_ms) / 1000);
        set_instant(out, METRIC_NEXT_RUN, schedule->enabled, schedule->next_ms);
    }
}

static void fill_status(struct metrics_schedule *out, const struct schedule *schedule,
                        const struct schedule_status *status)
{
    set(out, METRIC_RUNNING, schedule_status_is_running(status));
    set(out, METRIC_OVERDUE, schedule_status_is_overdue(status));
    set(out, METRIC_REFUTED, schedule_status_is_refuted(status, schedule));
    if (status != NULL) {
        set_instant(out, METRIC_LAST_SUCCESS, status->has_completed, status->completed_ms);
    }
}

static void fill_figures(struct metrics_schedule *out, const struct run_figures *figures)
{
    set_figure(out, METRIC_LAST_DURATION, figures->duration_s);
    set_figure(out, METRIC_LAST_OBJECT_SIZE, figures->bytes);
    set_figure(out, METRIC_LAST_RAW_SIZE, figures->raw_bytes);
    set_figure(out, METRIC_USUAL_RAW_SIZE, figures->usual_raw_bytes);
    set_figure(out, METRIC_LAST_ROWS, figures->rows);
    set_figure(out, METRIC_LAST_TABLES, figures->tables);
    set_figure(out, METRIC_FAILED_RUNS, figures->failed);
    set_figure(out, METRIC_UNVERIFIED, figures->unproven);
    set_instant(out, METRIC_LAST_FAILURE, figures->failed_ms.known, figures->failed_ms.value);
    set_instant(out, METRIC_NEWEST_VERIFIED, figures->proven_ms.known, figures->proven_ms.value);
}

static void fill(struct metrics_schedule *out, const struct schedule *schedule,
                 const struct readings *readings, const char *ledger)
{
    const struct run_figures *figures = run_figures_find(&readings->figures, schedule->id);
    const char *database = schedule->all_databases     ? "*"
                           : schedule->dbname != NULL  ? schedule->dbname
                           : schedule->service != NULL ? schedule->service
                                                       : ledger;

    snprintf(out->id, sizeof(out->id), "%s", schedule->id);
    snprintf(out->name, sizeof(out->name), "%s", schedule->name);
    snprintf(out->database, sizeof(out->database), "%s", database);
    text_cut_utf8(out->name);
    text_cut_utf8(out->database);
    fill_schedule(out, schedule);
    fill_status(out, schedule, schedule_status_find(&readings->statuses, schedule->id));
    if (figures != NULL) {
        fill_figures(out, figures);
    }
    set_instant(out, METRIC_CHECKED, true, readings->schedules.now_ms);
}

static bool fill_all(struct standing *out, const struct readings *readings, struct error *err)
{
    const struct schedules *schedules = &readings->schedules;

    out->now_ms = schedules->now_ms;
    out->schedules = calloc(schedules->count + 1, sizeof(*out->schedules));
    if (out->schedules == NULL) {
        return error_set_memory(err);
    }
    for (; out->count < schedules->count; out->count++) {
        fill(&out->schedules[out->count], &schedules->items[out->count], readings, out->ledger);
    }
    return true;
}

bool standing_read(const struct session_options *session, int64_t catch_up_s,
                   const struct deadline *deadline, struct standing *out, struct error *err)
{
    struct readings readings = {.statuses = {.items = NULL}};
    struct session_options options = *session;
    struct server_facts server;
    struct session *own = NULL;
    int64_t left_s = deadline_left_ms(deadline) / 1000;

    *out = (struct standing){.schedules = NULL};
    if (left_s == 0) {
        return error_set(err, ERROR_FAILED, "no time was left for it");
    }
    options.connect_s = options.connect_s < left_s ? options.connect_s : left_s;
    bool ok = session_open(&options, &own, err);
    if (ok) {
        session_facts(own, &server);
        snprintf(out->ledger, sizeof(out->ledger), "%s", server.database);
        text_cut_utf8(out->ledger);
        ok = read_all(own, catch_up_s, deadline, &readings, err);
    }
    session_close(own);
    ok = ok && fill_all(out, &readings, err);
    clear(&readings);
    return ok;
}

void standing_clear(struct standing *standing)
{
    free(standing->schedules);
    *standing = (struct standing){.schedules = NULL};
}
