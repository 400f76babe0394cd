/* argv -> command -> exit code. The only place that exits. */

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json_memory.h"
#include "base/log.h"
#include "base/redact.h"
#include "base/stop.h"
#include "base/thread.h"
#include "commands/command.h"
#include "commands/context.h"
#include "commands/help.h"
#include "commands/output.h"

/* Invariant I9: memory that holds a password must not end up in a core file, or be read by another
 * process of this user. */
static void forbid_cores(void)
{
    struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0);
}

/* A password given with -d would stand in ps(1) for as long as we run. */
static void hide_argument(const char *given, int argc, char *argv[])
{
    for (int i = 1; given != NULL && i < argc; i++) {
        size_t length = strlen(argv[i]);
        if (given >= argv[i] && given <= argv[i] + length) {
            memset(argv[i] + (given - argv[i]), 'x', strlen(given));
            return;
        }
    }
}

static bool run_command(const struct invocation *invocation, struct error *err)
{
    /* Not on the stack: a thread that is left behind may use it until the process ends. */
    static struct context context;
    bool ok = context_open(&context, invocation, err) &&
              invocation->command->run(&context, invocation, err);

    if (!thread_is_left_behind()) {
        context_clear(&context);
    }
    return ok;
}

static bool run(int argc, char *argv[], struct error *err)
{
    struct invocation invocation;

    if (!file_hold_standard_descriptors(err) || !stop_install(err) ||
        !command_parse(argc, argv, &invocation, err)) {
        return false;
    }
    bool ok = true;
    if (invocation.help) {
        help_print(invocation.command);
    } else if (invocation.version) {
        help_print_version();
    } else {
        char *database = NULL;
        if (invocation.settings[SETTING_DATABASE_URL] != NULL) {
            database = strdup(invocation.settings[SETTING_DATABASE_URL]);
            if (database == NULL) {
                return error_set_memory(err);
            }
            hide_argument(invocation.settings[SETTING_DATABASE_URL], argc, argv);
            invocation.settings[SETTING_DATABASE_URL] = database;
        }
        ok = run_command(&invocation, err);
        if (database != NULL) {
            explicit_bzero(database, strlen(database));
        }
        free(database);
    }
    struct error unwritten = ERROR_INIT;
    if (!output_finish(&unwritten) && ok) {
        *err = unwritten;
        ok = false;
    }
    return ok;
}

int main(int argc, char *argv[])
{
    struct error err = ERROR_INIT;

    forbid_cores();
    json_memory_watch();
    /* Only what decides about emoji: numbers and texts are the machine's, not the user's, and each
     * category costs a quiet tick some files to open. */
    setlocale(LC_CTYPE, "");
    bool ok = run(argc, argv, &err);
    if (!ok && err.text[0] != '\0') {
        if (err.kind == ERROR_DEGRADED) {
            log_warning("degraded", "%s", err.text);
        } else {
            log_error("failed", "%s", err.text);
        }
    }
    int code = ok ? 0 : stop_signal() != 0 ? 128 + stop_signal() : error_exit_code(err.kind);
    if (thread_is_left_behind()) {
        /* The libraries' ends would come while that thread uses them. */
        fflush(NULL);
        _exit(code);
    }
    redact_clear();
    return code;
}
