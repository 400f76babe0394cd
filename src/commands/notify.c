/* Notifications by hand. */

#include <stdio.h>

#include "base/log.h"
#include "commands/command.h"
#include "commands/context.h"
#include "commands/output.h"
#include "notify/outbox.h"
#include "postgres/backup_history.h"

enum { OPTION_TEST, OPTION_BACKUP, OPTION_JSON };

static bool enqueue_again(struct context *context, struct session *session, const char *name,
                          struct error *err)
{
    struct history_rows rows = {.items = NULL};
    struct server_facts server;
    size_t added = 0;

    if (!backup_history_find(session, name, &rows, err)) {
        return false;
    }
    session_facts(session, &server);
    bool ok;
    if (rows.count == 0) {
        ok = error_set(err, ERROR_USAGE, "backup_history has no backup '%s'", name);
    } else {
        const struct history_row *row = &rows.items[0];
        char key[HISTORY_RUN_ID_SIZE + 16];
        struct outcome outcome = {
            .key = key,
            .completed = row->status[0] == 'c',
            .history_id = row->history_id,
            .run_id = row->run_id,
            .name = row->name,
            .database = server.database,
            .bytes = (uint64_t)row->bytes,
            .duration_ms = row->duration_s * 1000,
            .at_ms = row->started_ms + row->duration_s * 1000,
            .error = row->error_message,
        };
        snprintf(key, sizeof(key), "%s %s", row->run_id, row->status);
        ok = row->status[0] != 's'
                 ? outbox_enqueue(session, &context->settings, &outcome, true, &added, err)
                 : error_set(err, ERROR_USAGE,
                             "backup '%s' is still being made: there is nothing "
                             "to tell yet",
                             name);
    }
    backup_history_clear(&rows);
    return ok;
}

static bool print_report(const struct outbox_report *report, bool json, struct error *err)
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
    struct outbox_report report = {0};
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
                  : outbox_deliver(session, &context->settings, &report, err);
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
