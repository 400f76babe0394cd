#include "dump/parallel_dump.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "dump/data_reader.h"
#include "dump/ordered_writer.h"
#include "dump/pg_dump_process.h"
#include "dump/plan.h"
#include "dump/source.h"
#include "postgres/large_objects.h"
#include "postgres/server_version.h"

/* What waits for its turn, per job: half a segment of well compressible rows. */
#define BUFFER_PER_JOB ((size_t)8 * 1024 * 1024)
#define MEBIBYTE       ((uint64_t)1024 * 1024)
/* What is taken for other things than rows while they are read: buffers and blocks. */
#define OTHER_BYTES (64 * MEBIBYTE)

struct worker {
    struct crew *crew;
    struct session *session;
    struct segment_stream *stream;
    struct fingerprint_row *long_row;
    pthread_t thread;
};

/* All who take part. */
struct crew {
    const struct dump_options *options;
    const struct pg_dump *tool;
    struct source *source;
    struct plan *plan;
    struct ordered_writer *writer;
    atomic_uint_least64_t raw_bytes;
    struct worker exporter; /* the main thread, for what the others cannot read */
    struct worker *workers;
    size_t worker_count; /* prepared */
    size_t running;
};

bool parallel_dump_check(const struct dump_options *options, struct error *err)
{
    struct server_facts server;

    session_facts(options->session, &server);
    if (server.version_number >= SERVER_VERSION_OLDEST) {
        return true;
    }
    error_set(err, ERROR_CONFIG, "the server's version %s is older than 13", server.version);
    return error_hint(err, "set RYTHM_BACKUP_ENGINE=pg_dump");
}

static void tell_progress(void *context)
{
    struct crew *crew = context;

    if (crew->options->progress != NULL) {
        crew->options->progress(crew->options->progress_context, atomic_load(&crew->raw_bytes));
    }
}

static bool copy_section(struct worker *worker, struct section_script *script, size_t part,
                         struct error *err)
{
    struct plan *plan = worker->crew->plan;

    segment_stream_begin(worker->stream, part, &plan->segments.items[plan->parts[part].first]);
    return section_script_copy(script, worker->stream, err) &&
           segment_stream_end(worker->stream, err);
}

static bool make_part(struct worker *worker, size_t part, bool *locked, struct error *err)
{
    struct crew *crew = worker->crew;
    const struct settings *settings = crew->options->settings;
    uint64_t longest_row = (uint64_t)settings_get_number(settings, SETTING_ROW_LIMIT) * MEBIBYTE;
    const struct data_reader reader = {
        .session = worker->session,
        .stream = worker->stream,
        .long_row = worker->long_row,
        .plan = crew->plan,
        .scope = crew->options->scope,
        .snapshot = worker == &crew->exporter ? NULL : crew->source->snapshot,
        .role_passwords = strcmp(settings_get(settings, SETTING_GLOBALS), "passwords") == 0,
        .makes_large_objects = pg_dump_version_has_large_objects_in_data(crew->tool->major),
        .lock_wait_ms = settings_get_number(settings, SETTING_LOCK_TIMEOUT) * 1000,
        .stall_ms = settings_get_number(settings, SETTING_STALL_TIMEOUT) * 1000,
        .longest_row = longest_row,
        .most_mapped = longest_row * 2 * (crew->worker_count + 1) + OTHER_BYTES,
    };

    *locked = false;
    switch (crew->plan->parts[part].kind) {
    case SEGMENT_PRE_DATA:
        return copy_section(worker, &crew->source->pre_data, part, err);
    case SEGMENT_POST_DATA:
        return copy_section(worker, &crew->source->post_data, part, err);
    case SEGMENT_GLOBALS:
    case SEGMENT_TABLE:
    case SEGMENT_SEQUENCES:
    case SEGMENT_LARGE_OBJECTS:
        break;
    }
    return data_reader_run(&reader, part, locked, err);
}

static void *work(void *context)
{
    struct worker *worker = context;
    struct ordered_writer *writer = worker->crew->writer;
    struct error err = ERROR_INIT;
    size_t part;
    bool locked;

    while (ordered_writer_claim(writer, &part)) {
        bool ok = make_part(worker, part, &locked, &err);
        if (!ok && locked) {
            ordered_writer_defer(writer, part);
        } else if (!ok || !ordered_writer_end(writer, part, &err)) {
            source_explain(worker->crew->source, worker->session, &err);
            ordered_writer_fail(writer, &err);
            /* It may be reading a deferred part. */
            session_interrupt(worker->crew->source->exporter);
            break;
        }
    }
    return NULL;
}

static bool prepare_worker(struct crew *crew, struct worker *worker, struct error *err)
{
    worker->crew = crew;
    worker->stream =
        segment_stream_new(&crew->options->compression, crew->writer, &crew->raw_bytes, err);
    worker->long_row = fingerprint_row_new(err);
    return worker->stream != NULL && worker->long_row != NULL;
}

/* Sessions are opened before any thread runs: what they register as secret is read by all. */
static bool prepare_workers(struct crew *crew, size_t jobs, struct error *err)
{
    crew->exporter.session = crew->source->exporter;
    crew->workers = calloc(jobs, sizeof(*crew->workers));
    if (crew->workers == NULL) {
        return error_set_memory(err);
    }
    if (!prepare_worker(crew, &crew->exporter, err)) {
        return false;
    }
    while (crew->worker_count < jobs) {
        struct worker *worker = &crew->workers[crew->worker_count++];
        if (!prepare_worker(crew, worker, err) ||
            !session_open_beside(crew->options->session, &worker->session, err) ||
            !snapshot_prepare_reader(worker->session, err)) {
            return error_prefix(err, "opening connection %zu of %zu for reading",
                                crew->worker_count, jobs);
        }
    }
    return true;
}

static bool start_workers(struct crew *crew, struct error *err)
{
    for (; crew->running < crew->worker_count; crew->running++) {
        struct worker *worker = &crew->workers[crew->running];
        if (!thread_start(&worker->thread, work, worker, err)) {
            return false;
        }
    }
    return true;
}

static bool read_deferred(struct crew *crew, struct error *err)
{
    size_t part;
    bool any;
    bool locked;

    for (;;) {
        if (!ordered_writer_take_deferred(crew->writer, &part, &any, err)) {
            return false;
        }
        if (!any) {
            return true;
        }
        if (!make_part(&crew->exporter, part, &locked, err) ||
            !ordered_writer_end(crew->writer, part, err)) {
            return false;
        }
    }
}

/* Whatever the others wait for ends. */
static void stop_workers(struct crew *crew, struct error *err)
{
    ordered_writer_fail(crew->writer, err);
    for (size_t i = 0; i < crew->worker_count; i++) {
        session_interrupt(crew->workers[i].session);
    }
    section_script_interrupt(&crew->source->pre_data);
    section_script_interrupt(&crew->source->post_data);
}

/* Of a pg_dump that ended early its reader knows only that the script has no end. */
static void explain(struct section_script *script, struct error *err)
{
    struct error reason = ERROR_INIT;

    if (err->kind != ERROR_STOPPED && atomic_load(&script->at_end) && !script->interrupted &&
        !section_script_close(script, &reason)) {
        *err = reason;
    }
}

static bool run_crew(struct crew *crew, struct error *err)
{
    bool ok = start_workers(crew, err) && read_deferred(crew, err);

    if (!ok) {
        stop_workers(crew, err);
    }
    for (size_t i = 0; i < crew->running; i++) {
        pthread_join(crew->workers[i].thread, NULL);
    }
    if (!ok) {
        explain(&crew->source->pre_data, err);
        explain(&crew->source->post_data, err);
    }
    for (size_t i = 0; ok && i < crew->worker_count; i++) {
        ok = session_is_alive(crew->workers[i].session);
        if (!ok) {
            error_set(err, ERROR_FAILED, "a session that read tables has ended");
            err->retryable = true;
        }
    }
    return ok;
}

static void clear_worker(struct worker *worker)
{
    segment_stream_free(worker->stream);
    fingerprint_row_free(worker->long_row);
}

static void clear_crew(struct crew *crew)
{
    for (size_t i = 0; i < crew->worker_count; i++) {
        clear_worker(&crew->workers[i]);
        session_close(crew->workers[i].session);
    }
    free(crew->workers);
    clear_worker(&crew->exporter);
    ordered_writer_free(crew->writer);
}

static bool make_plan(const struct dump_options *options, struct source *source, struct plan *plan,
                      struct error *err)
{
    struct plan_options how = {
        .globals = strcmp(settings_get(options->settings, SETTING_GLOBALS), "no") != 0,
        .tables = &source->tables,
        .segment_bytes =
            (uint64_t)settings_get_number(options->settings, SETTING_SEGMENT_SIZE) * MEBIBYTE,
    };
    int64_t *starts = NULL;

    /* As pg_dump does: a part of a database has no large objects. */
    if (scope_has_everything(options->scope) &&
        !large_objects_divide(source->exporter, how.segment_bytes, &starts, &how.large_object_parts,
                              err)) {
        return false;
    }
    how.large_object_starts = starts;
    bool ok = plan_make(&how, plan, err);
    free(starts);
    return ok;
}

static bool read_all(const struct dump_options *options, const struct pg_dump *tool,
                     struct source *source, struct plan *plan, struct stage *stream,
                     struct error *err)
{
    size_t jobs = (size_t)settings_get_number(options->settings, SETTING_JOBS);
    struct crew crew = {.options = options, .tool = tool, .source = source, .plan = plan};
    const struct ordered_writer_options order = {
        .next = stream,
        .parts = plan->part_count,
        .most_buffered = jobs * BUFFER_PER_JOB,
        .passed = tell_progress,
        .context = &crew,
    };

    crew.writer = ordered_writer_new(&order, err);
    bool ok = crew.writer != NULL && prepare_workers(&crew, jobs, err) && run_crew(&crew, err) &&
              source_confirm(source, crew.workers[0].session, err);
    clear_crew(&crew);
    return ok;
}

/* The server and pg_dump name the parameter in their hint, in every language. */
static void advise_on_locks(struct error *err)
{
    if (strstr(err->text, PG_DUMP_PROCESS_LOCKS_PARAMETER) != NULL) {
        error_hint(err, "raise it on the server, for three sessions of a parallel dump lock each "
                        "table, or set RYTHM_BACKUP_ENGINE=pg_dump, which locks it once");
    }
}

bool parallel_dump_run(const struct dump_options *options, const struct pg_dump *tool,
                       const char *restrict_key, struct stage *stream, struct dump_result *result,
                       struct error *err)
{
    struct source source = SOURCE_INIT;
    struct plan plan = {.parts = NULL};
    bool ok = source_open(&source, options, tool, restrict_key, err) &&
              make_plan(options, &source, &plan, err) &&
              read_all(options, tool, &source, &plan, stream, err);

    if (ok) {
        segments_place(&plan.segments);
        result->snapshot_ms = source.snapshot_ms;
        result->raw_bytes = segments_raw_length(&plan.segments);
        result->segments = plan.segments;
        plan.segments = (struct segments){.items = NULL};
    } else {
        advise_on_locks(err);
    }
    plan_clear(&plan);
    source_close(&source);
    return ok;
}
