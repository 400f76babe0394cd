#include "backup/untold.h"

#include "backup/aftermath.h"
#include "base/log.h"
#include "postgres/history_rows.h"
#include "postgres/verification.h"

static void note(struct untold_report *report, bool ok, const struct error *problem)
{
    if (!ok) {
        report->failed++;
        log_warning("notification_not_prepared", "%s", problem->text);
    }
}

static void enqueue_runs(const struct settings *settings, struct session *session,
                         const struct schedules *schedules, struct untold_report *report)
{
    struct history_rows rows;
    struct error problem = ERROR_INIT;

    note(report, history_rows_read_untold(session, &rows, &problem), &problem);
    for (size_t i = 0; i < rows.count; i++) {
        const struct history_row *row = &rows.items[i];
        const struct schedule *schedule = backup_schedule_find(schedules, row->schedule_id);
        note(report, aftermath_enqueue_row(settings, session, row, schedule, false, &problem),
             &problem);
    }
    report->found += rows.count;
    history_rows_clear(&rows);
}

static void enqueue_verifications(const struct settings *settings, struct session *session,
                                  struct untold_report *report)
{
    struct untold_verifications untold;
    struct error problem = ERROR_INIT;

    note(report, verification_read_untold(session, &untold, &problem), &problem);
    for (size_t i = 0; i < untold.count; i++) {
        note(report, aftermath_enqueue_verification(settings, session, &untold.items[i], &problem),
             &problem);
    }
    report->found += untold.count;
    verification_clear_untold(&untold);
}

void untold_enqueue(const struct settings *settings, const struct session_options *options,
                    const struct schedules *schedules, struct untold_report *report)
{
    struct session *session = NULL;
    struct error problem = ERROR_INIT;

    *report = (struct untold_report){.found = 0};
    if (!session_open(options, &session, &problem)) {
        note(report, false, &problem);
        return;
    }
    enqueue_runs(settings, session, schedules, report);
    enqueue_verifications(settings, session, report);
    session_close(session);
}
