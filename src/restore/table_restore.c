#include "restore/table_restore.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "postgres/schema_names.h"
#include "postgres/target_database.h"
#include "postgres/target_session.h"
#include "postgres/transaction.h"
#include "restore/needs.h"
#include "restore/replay.h"
#include "restore/segment_reader.h"
#include "restore/table_selection.h"

struct restoring {
    const struct restore_request *request;
    const struct backup_source *source;
    struct session *session;
    struct table_selection selection;
    struct replay_rules rules;
    struct segment_reader *reader;
    struct row_sum sum;
    /* A foreign key within a table is checked, and a statement's trigger runs, at the end of each
     * COPY: there may be one alone for what was one. */
    bool triggers_run;
    atomic_uint_least64_t raw_bytes;
    uint64_t rows;
};

static bool take_learning(void *context, const struct sql_statement *statement, struct error *err)
{
    return table_selection_learn(context, statement, err);
}

static bool refuse_rows(void *context, const char *rows, size_t size, struct error *err)
{
    (void)context;
    (void)rows;
    (void)size;
    return error_set(err, ERROR_DAMAGED, "there are rows where none may be");
}

static bool learn(struct restoring *restoring, struct error *err)
{
    const struct segments *segments = restoring->selection.segments;
    const struct sql_script_sink sink = {
        .statement = take_learning, .rows = refuse_rows, .context = &restoring->selection};

    return segment_reader_take(restoring->reader, &segments->items[segments_schema_at(segments)],
                               sql_script_stage_new(&sink, err), err);
}

/* As it is; when it gets rows alone, nobody changes them from then on. */
static bool look_at_table(const struct restoring *restoring, size_t index, bool *exists,
                          bool *is_empty, struct error *err)
{
    const struct segment_table *table = table_selection_written(&restoring->selection, index);
    struct session *session = restoring->session;

    bool ok =
        target_database_table_state(session, table->schema, table->name, exists, is_empty, err);
    if (ok && *exists && restoring->request->part == RESTORE_ROWS) {
        ok =
            target_database_lock_table(session, table->schema, table->name, err) &&
            target_database_table_state(session, table->schema, table->name, exists, is_empty, err);
    }
    return ok;
}

/* Tables to be made must not be there yet; those that get rows must be, and be empty. */
static bool check_table(const struct restoring *restoring, size_t index, struct error *err)
{
    const struct segment_table *table = &restoring->selection.segments->tables[index];
    bool exists = false;
    bool is_empty = false;

    if (!look_at_table(restoring, index, &exists, &is_empty, err)) {
        return error_prefix(err, "looking at table %s.%s", table->schema, table->name);
    }
    if (restoring->request->part == RESTORE_ROWS) {
        if (!exists) {
            error_set(err, ERROR_FAILED, "there is no table %s.%s", table->schema, table->name);
            return error_hint(err, "without --data-only it is made");
        }
        return is_empty ||
               error_set(err, ERROR_FAILED, "table %s.%s is not empty", table->schema, table->name);
    }
    if (!exists) {
        return true;
    }
    error_set(err, ERROR_FAILED, "there is a table %s.%s already", table->schema, table->name);
    return error_hint(err, is_empty ? "--data-only fills it, for it is empty"
                                    : "rename or drop it first");
}

static bool check_tables(const struct restoring *restoring, struct error *err)
{
    const struct segments *segments = restoring->selection.segments;

    for (size_t i = 0; i < segments->table_count; i++) {
        if (restoring->selection.chosen[i] && !check_table(restoring, i, err)) {
            return false;
        }
    }
    return true;
}

static bool replay_segment(struct restoring *restoring, const struct segment *segment,
                           const struct replay_rules *rules, struct error *err)
{
    const struct settings *settings = restoring->request->settings;
    struct replay replay = {
        .session = restoring->session,
        .rules = rules,
        .content = segment->kind == SEGMENT_TABLE ? REPLAY_ROWS : REPLAY_STATEMENTS,
        .stall_ms = settings_get_number(settings, SETTING_STALL_TIMEOUT) * 1000,
        .size = restoring->triggers_run ? 0 : segment->raw_length,
        .sum = &restoring->sum,
    };

    row_sum_reset(&restoring->sum);
    bool ok = segment_reader_take(restoring->reader, segment, replay_stage_new(&replay, err), err);
    if (ok && restoring->request->progress != NULL) {
        restoring->request->progress(restoring->request->progress_context,
                                     atomic_load(&restoring->raw_bytes));
    }
    return ok ? true : error_prefix(err, "%s", segment_kind_name(segment->kind));
}

/* The segments hold nothing that would have to be chosen from. */
static const struct replay_rules everything = {.no_owner = false};

/* Rows that are for the partitioned table above would come to partitions that nobody has named. */
struct own_rows {
    const struct segment_table *table;
    bool failed;
    bool are_others;
};

static bool is_own(void *context, const struct sql_statement *statement)
{
    struct own_rows *own = context;
    struct error ignored = ERROR_INIT;
    bool names = false;

    own->failed |= !table_selection_names(statement, own->table, &names, &ignored);
    own->are_others |= statement->is_copy && !names;
    return names;
}

static bool replay_own_rows(struct restoring *restoring, const struct segment *segment,
                            struct error *err)
{
    struct own_rows own = {.table = table_selection_written(&restoring->selection, segment->table)};
    const struct replay_rules rules = {.wants = is_own, .context = &own};

    if (!replay_segment(restoring, segment, &rules, err)) {
        return false;
    }
    if (own.failed) {
        return error_set_memory(err);
    }
    if (own.are_others) {
        error_set(err, ERROR_FAILED, "it is a partition whose rows are restored through its root");
        return error_hint(err,
                          "restore the whole backup into another database, and copy from there");
    }
    return true;
}

static bool restore_rows(struct restoring *restoring, const struct segment *segment,
                         struct error *err)
{
    const struct segment_table *table = &restoring->selection.segments->tables[segment->table];

    if (!restoring->selection.chosen[segment->table]) {
        return true;
    }
    restoring->rows += segment->rows;
    bool ok = restoring->request->table_count > 0
                  ? replay_own_rows(restoring, segment, err)
                  : replay_segment(restoring, segment, &everything, err);
    return (ok && row_sum_check(&restoring->sum, segment, err)) ||
           error_prefix(err, "restoring the rows of %s.%s", table->schema, table->name);
}

/* Which segments there are for: the schema unless it is there, rows unless they are not wanted;
 * what belongs to no table only when no table was named. */
static bool restore_segment(struct restoring *restoring, const struct segment *segment,
                            struct error *err)
{
    const struct restore_request *request = restoring->request;
    bool no_rows = request->part == RESTORE_SCHEMA;
    bool no_schema = request->part == RESTORE_ROWS;
    const struct replay_rules values = {.wants = table_selection_wants_value,
                                        .context = &restoring->selection};

    switch (segment->kind) {
    case SEGMENT_PRE_DATA:
    case SEGMENT_POST_DATA:
        return no_schema || replay_segment(restoring, segment, &restoring->rules, err);
    case SEGMENT_TABLE:
        return no_rows || restore_rows(restoring, segment, err);
    case SEGMENT_SEQUENCES:
        return no_rows || (no_schema && request->table_count > 0) ||
               replay_segment(restoring, segment, no_schema ? &everything : &values, err);
    case SEGMENT_GLOBALS:
    case SEGMENT_LARGE_OBJECTS:
        break;
    }
    return true;
}

static bool restore_segments(struct restoring *restoring, struct error *err)
{
    const struct segments *segments = restoring->selection.segments;

    for (size_t i = 0; i < segments->count; i++) {
        if (!restore_segment(restoring, &segments->items[i], err)) {
            return false;
        }
    }
    return !restoring->selection.failed || error_set_memory(err);
}

/* Foreign keys would ask for rows that come later. */
static bool rest_triggers(struct restoring *restoring, struct error *err)
{
    bool done = true;

    if (restoring->request->part == RESTORE_ROWS &&
        !target_session_disable_triggers(restoring->session, &done, err)) {
        return false;
    }
    restoring->triggers_run = !done;
    if (done && restoring->request->part == RESTORE_ROWS) {
        log_info(LOG_MARK_NOTE, "triggers_off",
                 "Triggers do not run, and foreign keys are not checked, for these rows");
    } else if (!done) {
        log_warning("triggers_stay",
                    "This role may not switch triggers off: they run, and foreign keys are checked "
                    "row by row");
    }
    return true;
}

static bool rename_selection(struct restoring *restoring, struct error *err)
{
    const char *encoding = restoring->source->manifest.encoding;
    char **names = NULL;
    char **written = NULL;

    bool ok = table_selection_foreign_names(&restoring->selection, encoding, &names, err);
    if (ok && names != NULL) {
        ok = schema_names_convert(restoring->session, names, encoding, &written, err) &&
             table_selection_rename(&restoring->selection, written, err);
    }
    free(names);
    return ok;
}

static bool prepare(struct restoring *restoring, struct error *err)
{
    const struct restore_request *request = restoring->request;
    const struct target_session_options how = {
        .encoding = restoring->source->manifest.encoding,
        .lock_timeout_ms = settings_get_number(request->settings, SETTING_LOCK_TIMEOUT) * 1000,
    };
    const struct needs needs = {.source = restoring->source,
                                .rules = &restoring->rules,
                                .session = restoring->session,
                                .create_roles = request->create_roles};

    return rename_selection(restoring, err) &&
           (request->part == RESTORE_ROWS || (learn(restoring, err) && needs_check(&needs, err))) &&
           target_session_prepare(restoring->session, &how, err);
}

/* What was done is undone when the session ends. */
static bool restore_tables(struct restoring *restoring, struct error *err)
{
    return prepare(restoring, err) && rest_triggers(restoring, err) &&
           transaction_begin(restoring->session, err) && check_tables(restoring, err) &&
           restore_segments(restoring, err) &&
           target_session_run(restoring->session, "SET LOCAL synchronous_commit = on", err) &&
           transaction_commit(restoring->session, err);
}

static void tell_left_out(const struct restoring *restoring)
{
    const struct segments *segments = restoring->selection.segments;

    if (restoring->request->table_count > 0) {
        return;
    }
    for (size_t i = 0; i < segments->count; i++) {
        if (segments->items[i].kind == SEGMENT_LARGE_OBJECTS) {
            log_warning("large_objects_left_out",
                        "The backup's large objects are restored with its schema only");
            return;
        }
    }
}

bool table_restore_run(const struct restore_request *request, const struct backup_source *source,
                       struct session *session, struct restore_outcome *outcome, struct error *err)
{
    struct restoring restoring = {.request = request, .source = source, .session = session};

    restoring.rules = (struct replay_rules){.no_owner = request->no_owner,
                                            .no_privileges = request->no_privileges,
                                            .wants = table_selection_wants,
                                            .context = &restoring.selection};
    restoring.reader = segment_reader_new(source, &restoring.raw_bytes, err);
    bool ok = restoring.reader != NULL && row_sum_open(&restoring.sum, err) &&
              table_selection_make(&restoring.selection, &source->manifest.segments,
                                   request->tables, request->table_count, err) &&
              restore_tables(&restoring, err);
    if (ok) {
        tell_left_out(&restoring);
    }
    for (size_t i = 0; ok && i < restoring.selection.segments->table_count; i++) {
        outcome->tables += restoring.selection.chosen[i];
    }
    outcome->has_rows = true;
    outcome->rows = request->part == RESTORE_SCHEMA ? 0 : restoring.rows;
    outcome->raw_bytes = atomic_load(&restoring.raw_bytes);
    table_selection_clear(&restoring.selection);
    row_sum_close(&restoring.sum);
    segment_reader_free(restoring.reader);
    return ok;
}
