#include "backup/hook.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/command_line.h"
#include "base/log.h"
#include "base/process.h"
#include "base/redact.h"
#include "base/stop.h"
#include "base/text.h"

/* Of what it prints: the longest line, and all that is logged. */
#define LINE_SIZE   1024
#define LOGGED_MOST ((size_t)64 * 1024)
/* Of the error, in the environment. */
#define ERROR_MOST 4096
#define FACT_CAP   ((size_t)16 * 1024)
#define FACTS_MOST 12
/* Who stops us does not wait for long. */
#define STOPPED_LIMIT_MS ((int64_t)30 * 1000)

static const struct {
    enum setting_id setting;
    const char *name;
} events[] = {
    [HOOK_BEFORE] = {SETTING_BEFORE, "before"},
    [HOOK_AFTER] = {SETTING_AFTER, "after"},
    [HOOK_ON_FAILURE] = {SETTING_ON_FAILURE, "on-failure"},
};

/* What it prints, a line at a time. */
struct output {
    const struct hook *hook;
    char line[LINE_SIZE];
    size_t length;
    bool is_cut; /* the rest of the line is dropped */
    size_t logged;
    bool full; /* and that was said */
    char last[LINE_SIZE];
};

static void log_line(struct output *output)
{
    const char *name = events[output->hook->event].name;

    output->line[output->length] = '\0';
    if (output->is_cut) {
        redact_cut(output->line);
    }
    text_make_one_line(output->line);
    text_cut_utf8(output->line);
    if (output->line[0] != '\0') {
        memcpy(output->last, output->line, sizeof(output->last));
    }
    if (output->logged + output->length > LOGGED_MOST) {
        if (!output->full) {
            log_warning("hook_output_dropped", "The hook %s prints more than 64 KB: not logged",
                        name);
        }
        output->full = true;
    } else if (output->line[0] != '\0') {
        log_write(&LOG_WITH(LOG_INFO, LOG_MARK_DETAIL, "hook_output", LOG_TEXT("hook", name)),
                  "%s: %s", name, output->line);
    }
    output->logged += output->length;
    output->length = 0;
    output->is_cut = false;
}

static void take_output(struct output *output, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == '\n') {
            log_line(output);
        } else if (output->length < LINE_SIZE - 1) {
            output->line[output->length++] = bytes[i] != '\0' ? bytes[i] : ' ';
        } else {
            output->is_cut = true;
        }
    }
}

struct facts {
    struct text texts[FACTS_MOST];
    const char *variables[FACTS_MOST + 1];
    size_t count;
};

static void add_fact(struct facts *facts, const char *name, const char *value)
{
    struct text *text = &facts->texts[facts->count++];

    *text = (struct text)TEXT_INIT(FACT_CAP);
    text_appendf(text, "%s%.*s", name, ERROR_MOST, value != NULL ? value : "");
}

/* Those that are to have it; afterwards, those that do. */
static void add_stores(struct facts *facts, const struct hook *hook)
{
    const struct store_choice *stores = hook->request->stores;
    struct text *text = &facts->texts[facts->count++];

    *text = (struct text)TEXT_INIT(FACT_CAP);
    text_append(text, "RYTHM_BACKUP_HOOK_STORES=");
    const char *separator = "";
    for (size_t i = 0; i < stores->count; i++) {
        if (!hook->result->is_missing[i]) {
            text_appendf(text, "%s%s", separator, stores->stores[i]->location);
            separator = " ";
        }
    }
}

static bool format_facts(struct facts *facts, const struct hook *hook, struct error *err)
{
    const struct backup_request *request = hook->request;
    const struct backup_result *result = hook->result;
    char bytes[24] = "";
    bool ok = true;

    if (strcmp(hook->status, "completed") == 0) {
        snprintf(bytes, sizeof(bytes), "%" PRIu64, result->object.bytes);
    }
    add_fact(facts, "RYTHM_BACKUP_HOOK_EVENT=", events[hook->event].name);
    add_fact(facts, "RYTHM_BACKUP_HOOK_SCHEDULE=", request->schedule->name);
    add_fact(facts, "RYTHM_BACKUP_HOOK_SCHEDULE_ID=", request->schedule->id);
    add_fact(facts, "RYTHM_BACKUP_HOOK_TYPE=", request->scheduled ? "scheduled" : "manual");
    add_fact(facts, "RYTHM_BACKUP_HOOK_DATABASE=", result->database);
    add_fact(facts, "RYTHM_BACKUP_HOOK_NAME=", result->name);
    add_fact(facts, "RYTHM_BACKUP_HOOK_RUN_ID=", result->run_id);
    add_fact(facts, "RYTHM_BACKUP_HOOK_STATUS=", hook->status);
    add_fact(facts, "RYTHM_BACKUP_HOOK_BYTES=", bytes);
    add_fact(facts, "RYTHM_BACKUP_HOOK_ERROR=", hook->error);
    add_stores(facts, hook);
    for (size_t i = 0; i < facts->count; i++) {
        facts->variables[i] = text_string(&facts->texts[i]);
        ok = ok && !facts->texts[i].failed;
    }
    return ok || error_set_memory(err);
}

static void clear_facts(struct facts *facts)
{
    for (size_t i = 0; i < facts->count; i++) {
        text_clear(&facts->texts[i]);
    }
}

static struct deadline choose_deadline(const struct hook *hook)
{
    int64_t limit_ms = settings_get_number(hook->request->settings, SETTING_HOOK_TIMEOUT) * 1000;

    if (hook->event != HOOK_ON_FAILURE || stop_signal() == 0) {
        return deadline_in_ms(limit_ms);
    }
    return deadline_cleanup_in_ms(limit_ms > STOPPED_LIMIT_MS ? STOPPED_LIMIT_MS : limit_ms);
}

static bool follow(const struct hook *hook, struct process *process, struct error *err)
{
    struct deadline deadline = choose_deadline(hook);
    struct output output = {.hook = hook};
    char buffer[4096];
    size_t got = 0;
    bool ok;

    do {
        ok = process_read(process, buffer, sizeof(buffer), &deadline, &got, err);
        take_output(&output, buffer, ok ? got : 0);
    } while (ok && got > 0);
    if (output.length > 0) {
        log_line(&output);
    }
    process->stderr_length = strlen(output.last);
    memcpy(process->stderr_text, output.last, process->stderr_length + 1);
    ok = ok && process_finish(process, &deadline, err);
    if (!ok && process->pid != 0 && deadline_left_ms(&deadline) == 0) {
        error_hint(err, "RYTHM_BACKUP_HOOK_TIMEOUT says how long it may take, with all that it "
                        "starts; it is killed");
    }
    return ok;
}

static bool start(const struct hook *hook, char *const argv[], struct process *process,
                  struct error *err)
{
    struct facts facts = {.count = 0};
    char **environment = NULL;
    bool ok = format_facts(&facts, hook, err);

    if (ok) {
        environment = settings_child_environment(facts.variables, err);
        ok = environment != NULL && process_start_group(process, argv, environment, err);
    }
    free(environment);
    clear_facts(&facts);
    return ok;
}

bool hook_run(const struct hook *hook, bool *skip, struct error *err)
{
    const struct settings *settings = hook->request->settings;
    const char *line = settings_get(settings, events[hook->event].setting);
    const char *name = events[hook->event].name;
    struct process process = PROCESS_INIT;
    char **argv = NULL;

    if (line == NULL) {
        return true;
    }
    log_debug("hook_started", "Running the hook %s", name);
    bool ok = command_line_split(line, &argv, err) && start(hook, argv, &process, err) &&
              follow(hook, &process, err);
    int64_t skip_status = settings_get_number(settings, SETTING_HOOK_SKIP);
    if (!ok && skip != NULL && skip_status != 0 && process.exit_status == skip_status) {
        *skip = true;
        ok = true;
    }
    process_kill(&process);
    text_list_free(argv);
    return ok || error_prefix(err, "the hook %s", name);
}
