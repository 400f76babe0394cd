#include "commands/context.h"

#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

static bool wants_emoji(void)
{
    const char *no_color = getenv("NO_COLOR");

    return (no_color == NULL || *no_color == '\0') && strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static void configure_log(const struct settings *settings, const struct invocation *invocation)
{
    enum log_level level = invocation->quiet     ? LOG_WARNING
                           : invocation->verbose ? LOG_DEBUG
                                                 : LOG_INFO;
    bool json = strcmp(settings_get(settings, SETTING_LOG_FORMAT), "json") == 0;

    log_configure(level, json ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT, wants_emoji());
}

bool context_open_configured(struct context *context, struct error *err)
{
    store_choice_clear(&context->configured);
    return store_pool_choose(&context->stores, NULL, &context->configured, err);
}

size_t context_open_stores(struct context *context, const struct schedules *schedules)
{
    size_t left_out = 0;

    for (size_t i = 0; i < schedules->count; i++) {
        const struct schedule *schedule = &schedules->items[i];
        struct store_choice opened = {.count = 0};
        struct error problem = ERROR_INIT;
        if (schedule->stores != NULL &&
            !store_pool_choose(&context->stores, schedule->stores, &opened, &problem)) {
            left_out++;
            log_warning("store_not_opened", "The store of schedule %s was left out: %s",
                        schedule->name, problem.text);
        }
        store_choice_clear(&opened);
    }
    return left_out;
}

void context_judge_stores(struct context *context, struct schedules *schedules)
{
    for (size_t i = 0; i < schedules->count; i++) {
        struct schedule *schedule = &schedules->items[i];
        struct store_choice opened = {.count = 0};
        struct error problem = ERROR_INIT;
        if (!schedule->enabled || schedule->stores == NULL || schedule->problem[0] != '\0') {
            continue;
        }
        bool ok = context->configured.count > 0
                      ? store_pool_choose(&context->stores, schedule->stores, &opened, &problem)
                      : store_pool_check(schedule->stores, &problem);
        store_choice_clear(&opened);
        if (!ok && problem.kind == ERROR_CONFIG) {
            schedule->state = SCHEDULE_INVALID;
            snprintf(schedule->problem, sizeof(schedule->problem), "%.*s",
                     (int)sizeof(schedule->problem) - 1, problem.text);
        }
    }
}

static bool make_token(void *of, bool ignore_stop, struct text *out, struct error *err)
{
    const struct context *context = of;
    const struct entra_patience patience = {.ignore_stop = ignore_stop};
    struct token token = TOKEN_INIT;

    if (!entra_request_token(&context->entra, ENTRA_POSTGRES, &patience, &token, err)) {
        return false;
    }
    text_append(out, token.value);
    token_clear(&token);
    return true;
}

static bool choose_password(struct context *context, struct error *err)
{
    const struct setting *setting = &settings_table[SETTING_DATABASE_AUTH];
    const char *how = settings_get(&context->settings, SETTING_DATABASE_AUTH);

    if (strcmp(how, "entra") != 0) {
        return true;
    }
    if (!entra_find(&context->settings, &context->entra, err)) {
        return error_prefix(err, "%s=%s", setting->name, how);
    }
    context->password = (struct session_password){.make = make_token, .context = context};
    context->session_options.password = &context->password;
    return true;
}

bool context_open(struct context *context, const struct invocation *invocation, struct error *err)
{
    *context = (struct context){.configured = {.count = 0}};
    context->stores.settings = &context->settings;
    telemetry_begin(&context->telemetry, &context->settings, &context->session_options);
    if (!settings_load(&context->settings, invocation->settings, invocation->config_file, err)) {
        return false;
    }
    configure_log(&context->settings, invocation);
    context->session_options = (struct session_options){
        .conninfo = settings_get(&context->settings, SETTING_DATABASE_URL),
        .connect_s = settings_get_number(&context->settings, SETTING_CONNECT_TIMEOUT),
    };
    if (!choose_password(context, err)) {
        return false;
    }
    if (!compression_parse(settings_get(&context->settings, SETTING_COMPRESSION),
                           &context->compression, err)) {
        return error_prefix(err, "%s", settings_table[SETTING_COMPRESSION].name);
    }
    return invocation->command->needs_store ? context_open_configured(context, err) : true;
}

void context_clear(struct context *context)
{
    telemetry_clear(&context->telemetry);
    store_choice_clear(&context->configured);
    store_pool_clear(&context->stores);
    settings_clear(&context->settings);
}

bool context_wants_progress(const struct context *context, const struct invocation *invocation)
{
    return !invocation->quiet && isatty(STDERR_FILENO) == 1 &&
           strcmp(settings_get(&context->settings, SETTING_LOG_FORMAT), "text") == 0;
}

void context_verify_server(const struct context *context, const char *given,
                           struct session_options *out)
{
    const char *configured = settings_get(&context->settings, SETTING_VERIFY_SERVER);

    *out = context->session_options;
    if (given != NULL || configured != NULL) {
        out->conninfo = given != NULL ? given : configured;
        out->given_by = given != NULL ? "--server" : settings_table[SETTING_VERIFY_SERVER].name;
    }
}

bool context_connect(struct context *context, struct session **session, struct error *err)
{
    return session_open(&context->session_options, session, err);
}

bool context_pretend_now(struct context *context, const char *timestamp, struct error *err)
{
    struct session *session = NULL;
    bool ok =
        context_connect(context, &session, err) &&
        session_parse_shift(session, timestamp, &context->session_options.clock_shift_ms, err);

    session_close(session);
    return ok;
}

bool context_read_schedules_in(struct context *context, struct session *session,
                               struct schedules *out, struct error *err)
{
    bool ok = backup_schedule_read(
        session, settings_get_number(&context->settings, SETTING_CATCH_UP), out, err);

    if (ok && out->count == 0) {
        error_set(err, ERROR_CONFIG, "the table backup_schedule has no row");
        return error_hint(err, "'rythm-backup schedule add' adds one");
    }
    return ok;
}

bool context_read_schedules(struct context *context, struct schedules *out, struct error *err)
{
    struct session *session = NULL;
    bool ok = context_connect(context, &session, err) &&
              context_read_schedules_in(context, session, out, err);

    session_close(session);
    return ok;
}
