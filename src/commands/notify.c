/* Notifications by hand. */

#include <stdio.h>

#include "backup/aftermath.h"
#include "commands/command.h"
#include "commands/context.h"
#include "commands/output.h"
#include "notify/outbox.h"
#include "postgres/history_rows.h"

enum { OPTION_TEST, OPTION_BACKUP, OPTION_JSON };

static bool enqueue_again(struct context *context, struct session *session, const char *name,
                          struct error *err)
{
    struct history_rows rows = {.items = NULL};
    bool ok;

    if (!history_rows_find(session, name, &rows, err)) {
        return false;
    }
    if (rows.count == 0) {
        ok = error_set(err, ERROR_USAGE, "backup_history has no backup '%s'", name);
    } else if (rows.items[0].status[0] == 's') {
        ok = error_set(err, ERROR_USAGE,
                       "backup '%s' is still being made: there is nothing to tell yet", name);
    } else {
        ok = aftermath_enqueue_row(&context->settings, session, &rows.items[0], NULL, true, err);
    }
    history_rows_clear(&rows);
    return ok;
}

static bool print_report(const struct round_report *report, bool json, struct error *err)
{
    if (json) {
        return output_json(json_pack("{s:I, s:I, s:I}", "sent", (json_int_t)report->sent, "pending",
                                     (json_int_t)report->waiting, "failed",
                                     (json_int_t)report->failed),
                           err);
    }
    printf("sent %zu, pending %zu, failed %zu\n", report->sent, report->waiting, report->failed);
    return true;
}

static bool run(struct context *context, const struct invocation *invocation, struct error *err)
{
    struct session *session = NULL;
    struct round_report report = {0};
    bool test = invocation->options[OPTION_TEST] != NULL;
    const char *name = invocation->options[OPTION_BACKUP];

    if (test && name != NULL) {
        return error_set(err, ERROR_USAGE, "--test and --backup do not go together");
    }
    if (!context_connect(context, &session, err)) {
        return false;
    }
    bool ok = name == NULL || enqueue_again(context, session, name, err);
    if (ok) {
        ok = test ? outbox_test(session, &context->settings, &report, err)
                  : outbox_deliver(session, &context->settings, true, &report, err);
    }
    session_close(session);
    if (!ok || !print_report(&report, invocation->options[OPTION_JSON] != NULL, err)) {
        return false;
    }
    if (report.waiting + report.failed == 0) {
        return true;
    }
    return error_set(err, test ? ERROR_FAILED : ERROR_DEGRADED, "%zu notification(s) were not sent",
                     report.waiting + report.failed);
}

const struct command command_notify = {
    .name = "notify",
    .arguments = "",
    .summary = "deliver pending notifications, or send a test",
    .description =
        "Delivers the notifications that wait (check does the same every minute) and prints what\n"
        "became of them.",
    .options = {{"test", NULL, "send a test message through every configured channel"},
                {"backup", "NAME", "send the notification of this backup once more"},
                {"json", NULL, "print the outcome as JSON"}},
    .run = run,
};
