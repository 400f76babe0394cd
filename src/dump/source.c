#include "dump/source.h"

#include "base/log.h"
#include "base/wait.h"
#include "dump/pg_dump_process.h"

#define MOST_TRIES 100
#define PAUSE_MS   200
/* Nothing but somebody who waits for the exporter's locks can keep pg_dump waiting for so long. */
#define LOCK_WAIT_MS 2000
/* A snapshot goes a moment before its session's connection does. */
#define HANG_UP_MS 2000

static void tell_lost(struct error *err)
{
    error_prefix(err, "the session that held the snapshot has ended");
    err->retryable = true;
}

static int64_t seconds(const struct dump_options *options, enum setting_id id)
{
    return settings_get_number(options->settings, id);
}

/* *again: what was read is out of date already. */
static bool take_snapshot(struct source *source, const struct dump_options *options, bool *again,
                          struct error *err)
{
    struct table_catalogue before = {.items = NULL};
    bool ok = snapshot_begin(source->exporter, err) &&
              table_catalogue_read(source->exporter, options->scope, false, &before, err);

    *again = false;
    snapshot_end(source->exporter);
    ok = ok && snapshot_begin(source->exporter, err) &&
         snapshot_lock(source->exporter, &before, seconds(options, SETTING_LOCK_TIMEOUT), again,
                       err) &&
         snapshot_export(source->exporter, source->snapshot, &source->snapshot_ms, err) &&
         table_catalogue_read(source->exporter, options->scope, true, &source->tables, err);
    if (ok && !table_catalogue_equal(&before, &source->tables)) {
        *again = true;
        ok = error_set(err, ERROR_FAILED,
                       "tables were made, renamed or dropped whenever a snapshot was taken");
        err->retryable = true;
    }
    table_catalogue_clear(&before);
    return ok;
}

static bool start_section(struct source *source, struct section_script *script,
                          const struct dump_options *options, const struct pg_dump *tool,
                          const char *restrict_key, struct error *err)
{
    const struct pg_dump_options child = {
        .tool = tool,
        .session = source->exporter,
        .scope = options->scope,
        .section = script->is_last ? "post-data" : "pre-data",
        .snapshot = source->snapshot,
        .restrict_key = restrict_key,
        .lock_wait_ms = LOCK_WAIT_MS,
    };

    return pg_dump_process_start(&child, &script->process, err);
}

/* It has its locks and its catalogue when it begins to write; it has ended when there is nothing to
 * read. */
static bool await_section(const struct source *source, struct section_script *script, bool *again,
                          struct error *err)
{
    bool ended = false;

    if (!section_script_wait(script, &ended, err)) {
        return false;
    }
    if (!ended) {
        return true;
    }
    bool ok = section_script_close(script, err);
    if (!ok && err->kind != ERROR_STOPPED && !session_is_alive(source->exporter)) {
        tell_lost(err);
        return false;
    }
    /* The exporter has all of these locks: what fails is waiting behind somebody else. */
    *again = !ok && pg_dump_process_was_locking(&script->process);
    return ok && error_set(err, ERROR_FAILED, "pg_dump wrote nothing");
}

static bool try_to_open(struct source *source, const struct dump_options *options,
                        const struct pg_dump *tool, const char *restrict_key, bool *again,
                        struct error *err)
{
    return take_snapshot(source, options, again, err) &&
           start_section(source, &source->pre_data, options, tool, restrict_key, err) &&
           start_section(source, &source->post_data, options, tool, restrict_key, err) &&
           await_section(source, &source->pre_data, again, err) &&
           await_section(source, &source->post_data, again, err);
}

/* For another try: lets those through that wait for us. */
static void give_up(struct source *source)
{
    process_kill(&source->pre_data.process);
    process_kill(&source->post_data.process);
    snapshot_end(source->exporter);
    table_catalogue_clear(&source->tables);
}

bool source_open(struct source *source, const struct dump_options *options,
                 const struct pg_dump *tool, const char *restrict_key, struct error *err)
{
    int64_t stall_ms = seconds(options, SETTING_STALL_TIMEOUT) * 1000;
    struct deadline end = deadline_in_ms(seconds(options, SETTING_LOCK_TIMEOUT) * 1000);
    bool again = false;

    *source = (struct source)SOURCE_INIT;
    source->pre_data.restrict_key = restrict_key;
    source->pre_data.stall_ms = stall_ms;
    source->post_data.restrict_key = restrict_key;
    source->post_data.stall_ms = stall_ms;
    source->post_data.is_last = true;
    if (!session_open_beside(options->session, &source->exporter, err) ||
        !snapshot_prepare_reader(source->exporter, err)) {
        return false;
    }
    for (int tries = 1; !try_to_open(source, options, tool, restrict_key, &again, err); tries++) {
        struct deadline pause = deadline_in_ms(PAUSE_MS);
        give_up(source);
        if (!again || tries == MOST_TRIES || deadline_left_ms(&end) == 0) {
            return false;
        }
        log_debug("snapshot_again", "Taking another snapshot: %s", err->text);
        if (!wait_until(&pause, err)) {
            return false;
        }
    }
    return true;
}

void source_explain(const struct source *source, const struct session *reader, struct error *err)
{
    if (err->kind != ERROR_STOPPED &&
        session_has_hung_up(source->exporter, snapshot_was_gone(reader) ? HANG_UP_MS : 0)) {
        tell_lost(err);
    }
}

bool source_confirm(struct source *source, struct session *session, struct error *err)
{
    if (!section_script_close(&source->pre_data, err) ||
        !section_script_close(&source->post_data, err)) {
        return false;
    }
    if (!session_is_alive(source->exporter)) {
        error_set(err, ERROR_FAILED, "the session that held the snapshot has ended");
        err->retryable = true;
        return false;
    }
    return table_catalogue_confirm(session, &source->tables, err);
}

void source_close(struct source *source)
{
    process_kill(&source->pre_data.process);
    process_kill(&source->post_data.process);
    session_close(source->exporter);
    table_catalogue_clear(&source->tables);
}
