#include "restore/fill.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "postgres/ledger.h"
#include "postgres/target_session.h"
#include "restore/copy_statement.h"
#include "restore/globals.h"
#include "restore/index_builder.h"
#include "restore/segment_reader.h"
#include "restore/table_names.h"
#include "restore/whole_object.h"
#include "restore/work_order.h"
#include "restore/workers.h"

#define SQL_CAP ((size_t)8192)

struct filling {
    const struct fill_options *options;
    bool like_source;
    const struct segments *segments;
    struct workers workers;
    struct segment_reader *reader; /* of the session's own */
    struct index_builder *builder;
    struct work_order *order; /* of what stands between the schema's two segments */
    struct row_sum sum;
    atomic_uint_least64_t raw_bytes;
};

static int64_t stall_ms(const struct fill_options *options)
{
    return settings_get_number(options->settings, SETTING_STALL_TIMEOUT) * 1000;
}

static void tell_progress(void *context)
{
    struct filling *filling = context;

    if (filling->options->progress != NULL) {
        filling->options->progress(filling->options->progress_context,
                                   atomic_load(&filling->raw_bytes));
    }
}

static bool replay_schema(struct filling *filling, const struct segment *segment, bool in_parallel,
                          struct error *err)
{
    struct replay replay = {
        .like_source = filling->like_source,
        .session = filling->options->session,
        .rules = &filling->options->rules,
        .content = REPLAY_STATEMENTS,
        .sum = &filling->sum,
        .defer = in_parallel ? index_builder_take : NULL,
        .context = filling->builder,
    };

    return (segment_reader_take(filling->reader, segment, replay_stage_new(&replay, err), err) &&
            (!in_parallel || index_builder_run(filling->builder, err))) ||
           error_prefix(err, "restoring the %s section", segment_kind_name(segment->kind)) ||
           index_builder_blame(filling->builder, err);
}

/* Only before its first rows can a table be emptied. */
static bool is_frozen(const struct worker *worker, const struct work_turn *turn)
{
    return worker->frozen.is_begun ||
           (turn->alone && turn->is_first && turn->segment->raw_length >= FROZEN_TABLE_LEAST_BYTES);
}

/* Whose rows a segment holds. */
struct own_rows {
    const struct replay_rules *rules; /* that are asked, too */
    const struct segments *segments;
    size_t table;
    bool has_others;
    char **columns; /* of the table, to be noted; or NULL */
    bool failed;    /* memory was out */
};

static void note_columns(struct own_rows *own, const struct sql_statement *statement)
{
    struct copy_statement copy;

    if (own->columns != NULL && copy_statement_read(statement->text, statement->length, &copy) &&
        copy.columns != NULL &&
        asprintf(own->columns, "(%.*s)", (int)copy.columns_length, copy.columns) < 0) {
        *own->columns = NULL;
        own->failed = true;
    }
}

/* In the form of struct replay_rules. Rows that go through a partitioned table may come into any of
 * its partitions. */
static bool look_for_others(void *context, const struct sql_statement *statement)
{
    struct own_rows *own = context;
    struct error ignored = ERROR_INIT;
    size_t table;

    if (statement->is_copy) {
        bool is_own =
            table_names_find(own->segments, statement, &table, &ignored) && table == own->table;
        own->has_others |= !is_own;
        if (is_own) {
            note_columns(own, statement);
        }
    }
    return own->rules->wants == NULL || own->rules->wants(own->rules->context, statement);
}

static bool replay_rows(struct filling *filling, struct worker *worker,
                        const struct work_turn *turn, struct error *err)
{
    const struct segment *segment = turn->segment;
    const struct segment_table *table = &filling->segments->tables[segment->table];
    struct own_rows own = {
        .rules = &filling->options->rules, .segments = filling->segments, .table = segment->table};
    if (turn->is_first && filling->options->columns != NULL) {
        own.columns = &filling->options->columns[segment->table];
    }
    struct replay_rules rules = filling->options->rules;
    struct replay replay = {
        .like_source = filling->like_source,
        .session = worker->session,
        .rules = &rules,
        .content = REPLAY_ROWS,
        .stall_ms = stall_ms(filling->options),
        .frozen = is_frozen(worker, turn) ? &worker->frozen : NULL,
        .size = segment->raw_length,
        .sum = &worker->sum,
    };

    rules.wants = look_for_others;
    rules.context = &own;
    row_sum_reset(&worker->sum);
    bool ok = segment_reader_take(worker->reader, segment, replay_stage_new(&replay, err), err) &&
              row_sum_check(&worker->sum, segment, err);
    if (own.has_others) {
        work_order_note_others(filling->order, worker->number);
    }
    ok = ok && (!own.failed || error_set_memory(err));
    return ok || error_prefix(err, "restoring the rows of %s.%s", table->schema, table->name);
}

static bool replay_objects(struct filling *filling, struct worker *worker,
                           const struct segment *segment, struct error *err)
{
    struct replay replay = {
        .like_source = filling->like_source,
        .session = worker->session,
        .rules = &filling->options->rules,
        .content = REPLAY_STATEMENTS,
        .sum = &worker->sum,
    };

    return segment_reader_take(worker->reader, segment, replay_stage_new(&replay, err), err) ||
           error_prefix(err, "restoring the %s", segment_kind_name(segment->kind));
}

/* Commits with the table's last rows, or so that others can help with it: at once where there is
 * nothing to commit. */
static bool end_turn(struct filling *filling, struct worker *worker, const struct work_turn *turn,
                     struct error *err)
{
    bool shares = (turn->alone && !worker->frozen.is_begun) ||
                  work_order_is_to_share(filling->order, worker->number);

    if ((turn->is_last || shares) && !frozen_table_commit(&worker->frozen, worker->session, err)) {
        const struct segment_table *table = &filling->segments->tables[turn->segment->table];
        return error_prefix(err, "committing the rows of %s.%s", table->schema, table->name);
    }
    if (shares) {
        work_order_share(filling->order, worker->number);
    }
    return true;
}

static bool fill_segment(void *context, struct worker *worker, const struct work_turn *turn,
                         struct error *err)
{
    struct filling *filling = context;

    return (turn->segment->kind == SEGMENT_TABLE
                ? replay_rows(filling, worker, turn, err)
                : replay_objects(filling, worker, turn->segment, err)) &&
           end_turn(filling, worker, turn, err);
}

static bool open_builder(struct filling *filling, const struct index_builder_rows *rows,
                         struct error *err)
{
    filling->builder = index_builder_new(&filling->workers, rows, filling->like_source, err);
    return filling->builder != NULL;
}

static size_t count_jobs(const struct filling *filling)
{
    return (size_t)settings_get_number(filling->options->settings, SETTING_JOBS);
}

static bool plan_rows(struct filling *filling, struct error *err)
{
    const struct segments *segments = filling->segments;
    size_t first = segments_schema_at(segments) + 1;

    filling->order = work_order_new(&segments->items[first], segments->count - 1 - first,
                                    segments->table_count, count_jobs(filling), err);
    const struct index_builder_rows rows = {
        .order = filling->order, .segments = segments, .fill = fill_segment, .context = filling};
    return filling->order != NULL && open_builder(filling, &rows, err);
}

static bool open_filling(struct filling *filling, struct error *err)
{
    filling->reader = segment_reader_new(filling->options->source, &filling->raw_bytes, err);
    if (filling->reader == NULL || !row_sum_open(&filling->sum, err)) {
        return false;
    }
    return filling->options->no_rows ? open_builder(filling, NULL, err) : plan_rows(filling, err);
}

static bool open_sessions(struct filling *filling, struct error *err)
{
    const struct fill_options *options = filling->options;
    const struct workers_options workers = {
        .base = options->session,
        .count = count_jobs(filling),
        .prepare = fill_prepare_session,
        .context = options,
        .source = options->source,
        .raw_bytes = &filling->raw_bytes,
    };

    filling->workers.tick = tell_progress;
    filling->workers.tick_context = filling;
    return fill_prepare_session(options, options->session, err) &&
           workers_open(&filling->workers, &workers, err);
}

static void close_filling(struct filling *filling)
{
    index_builder_free(filling->builder);
    work_order_free(filling->order);
    segment_reader_free(filling->reader);
    workers_close(&filling->workers);
    row_sum_close(&filling->sum);
}

/* Of tables alone there are no schemas in the script. The manifest has their names in UTF-8, which
 * the session speaks until it is prepared for the script. */
static bool make_schemas(const struct fill_options *options, struct error *err)
{
    const struct manifest_copy *manifest = &options->source->manifest;
    const char *last = "";
    bool ok = true;

    if (manifest->scope.lists[SCOPE_TABLES] == NULL) {
        return true;
    }
    for (size_t i = 0; ok && i < manifest->segments.table_count; i++) {
        const char *schema = manifest->segments.tables[i].schema;
        struct text sql = TEXT_INIT(SQL_CAP);
        if (strcmp(schema, last) == 0) {
            continue;
        }
        last = schema;
        text_append(&sql, "CREATE SCHEMA IF NOT EXISTS \"");
        for (const char *c = schema; *c != '\0'; c++) {
            text_append_bytes(&sql, *c == '"' ? "\"\"" : c, *c == '"' ? 2 : 1);
        }
        text_append(&sql, "\"");
        ok = target_session_run(options->session, text_string(&sql), err);
        text_clear(&sql);
    }
    return ok || error_prefix(err, "making the schemas of the tables");
}

static bool fill_by_segments(const struct fill_options *options, struct fill_result *result,
                             struct error *err)
{
    const struct segments *segments = &options->source->manifest.segments;
    struct filling filling = {.options = options,
                              .like_source = fill_is_like_source(options),
                              .segments = segments,
                              .workers = WORKERS_INIT};
    size_t schema_at = segments_schema_at(segments);
    size_t last = segments->count - 1;

    bool ok = open_filling(&filling, err) && globals_check(options->source, filling.reader, err) &&
              make_schemas(options, err) && open_sessions(&filling, err) &&
              replay_schema(&filling, &segments->items[schema_at], false, err) &&
              replay_schema(&filling, &segments->items[last], true, err);
    *result = (struct fill_result){.raw_bytes = atomic_load(&filling.raw_bytes)};
    if (ok && !options->no_rows) {
        result->tables = segments->table_count;
        result->rows = segments_rows(segments);
    }
    close_filling(&filling);
    return ok;
}

/* Nobody else is there to be waited for. */
bool fill_prepare_session(const void *context, struct session *session, struct error *err)
{
    const struct fill_options *options = context;
    const struct target_session_options how = {.encoding = backup_source_encoding(options->source),
                                               .hides_values = options->hides_values};

    return target_session_prepare(session, &how, err);
}

bool fill_is_like_source(const struct fill_options *options)
{
    const struct backup_facts *facts = &options->source->backup->facts;
    struct ledger server;
    struct error ignored = ERROR_INIT;

    return facts->schemas[0] == '\0' && facts->source[0] != '\0' &&
           ledger_identify(options->session, &server, &ignored) &&
           strcmp(server.system, facts->source) == 0;
}

/* What was left out of a part of a database, something in that part may need. */
static void explain(const struct fill_options *options, struct error *err)
{
    if (options->source->backup->facts.schemas[0] != '\0' && err->kind == ERROR_FAILED &&
        !err->retryable) {
        error_hint(err, "the backup holds a part of the database: what this refers to (a table, "
                        "its rows, a type, a function) may have been left out");
    }
}

bool fill_database(const struct fill_options *options, struct fill_result *result,
                   struct error *err)
{
    bool ok = options->source->has_manifest ? fill_by_segments(options, result, err)
                                            : whole_object_replay(options, result, err);

    if (!ok) {
        explain(options, err);
    }
    return ok;
}
