#include "restore/index_builder.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "postgres/target_session.h"
#include "restore/replay.h"
#include "restore/set_statement.h"
#include "restore/sql_lexer.h"
#include "restore/statement_entry.h"
#include "restore/table_names.h"

/* Of one batch, in memory. */
#define BATCH_MOST_BYTES ((size_t)16 * 1024 * 1024)
/* Foreign keys lock two tables each: two workers may have to wait for each other, and the server
 * lets one of them fail then. */
#define MOST_DEADLOCKS 20
#define DEADLOCK       "40P01"

enum kind {
    KIND_NONE,
    KIND_BUILD,
    KIND_FOREIGN_KEY,
    KIND_REMARK, /* about something that stands before it, the last or not */
};

struct step {
    char *text;
    char *entry;
    uint64_t line;
    bool is_remark;          /* of no job: run when all are done */
    bool begins;             /* an entry: the steps up to the next such one are one job */
    struct work_build build; /* of the job that begins */
};

/* What the workers do at once. */
struct round {
    struct index_builder *builder;
    struct work_order *order;
};

struct index_builder {
    struct workers *workers;
    struct index_builder_rows rows;
    bool has_rows; /* that are not there yet */
    bool like_source;
    struct error failure; /* of the workers */
    enum kind kind;       /* of the batch */
    struct step *steps;
    size_t count;
    size_t capacity;
    size_t bytes;
    size_t *jobs; /* the first step of each */
    size_t job_count;
};

struct index_builder *index_builder_new(struct workers *workers,
                                        const struct index_builder_rows *rows, bool like_source,
                                        struct error *err)
{
    struct index_builder *builder = calloc(1, sizeof(*builder));

    if (builder == NULL) {
        error_set_memory(err);
        return NULL;
    }
    builder->workers = workers;
    builder->has_rows = rows != NULL;
    if (rows != NULL) {
        builder->rows = *rows;
    }
    builder->like_source = like_source;
    builder->failure = (struct error)ERROR_INIT;
    return builder;
}

static void empty(struct index_builder *builder)
{
    for (size_t i = 0; i < builder->count; i++) {
        free(builder->steps[i].text);
        free(builder->steps[i].entry);
    }
    free(builder->jobs);
    builder->jobs = NULL;
    builder->count = 0;
    builder->job_count = 0;
    builder->bytes = 0;
    builder->kind = KIND_NONE;
}

void index_builder_free(struct index_builder *builder)
{
    if (builder == NULL) {
        return;
    }
    empty(builder);
    free(builder->steps);
    free(builder);
}

static enum kind kind_of(const struct sql_statement *statement)
{
    static const struct {
        const char *type;
        enum kind kind;
    } kinds[] = {
        {"INDEX", KIND_BUILD},
        {"CONSTRAINT", KIND_BUILD},
        {"FK CONSTRAINT", KIND_FOREIGN_KEY},
        {"COMMENT", KIND_REMARK},
    };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (statement_entry_has_type(statement, kinds[i].type)) {
            return kinds[i].kind;
        }
    }
    return KIND_NONE;
}

/* Only columns in parentheses, and no condition: nothing in it can read another table. (A NOT NULL
 * without parentheses is of the table's children, too.) */
static bool has_plain_columns(const struct sql_statement *statement)
{
    struct sql_lexer lexer;
    struct sql_token token;
    bool has_columns = false;
    int depth = 0;

    sql_lexer_init(&lexer, statement->text, statement->length);
    while (sql_lexer_next_solid(&lexer, &token) != SQL_TOKEN_MORE) {
        depth += sql_token_is_symbol(&token, '(');
        depth -= sql_token_is_symbol(&token, ')');
        if (depth > 1 || sql_token_is_word(&token, "where")) {
            return false;
        }
        has_columns |= depth == 1;
    }
    return has_columns;
}

static bool describe(const struct index_builder *builder, const struct sql_statement *statement,
                     struct work_build *build, struct error *err)
{
    build->table = SEGMENT_NO_TABLE;
    if (!builder->has_rows || builder->kind != KIND_BUILD) {
        return true;
    }
    build->needs_all_rows = !has_plain_columns(statement);
    build->is_exclusive = statement_entry_has_type(statement, "CONSTRAINT");
    return table_names_find(builder->rows.segments, statement, &build->table, err);
}

static bool add_step(struct index_builder *builder, const struct sql_statement *statement,
                     bool is_remark, bool begins, struct error *err)
{
    if (builder->count == builder->capacity) {
        size_t capacity = builder->capacity > 0 ? builder->capacity * 2 : 64;
        struct step *longer = reallocarray(builder->steps, capacity, sizeof(*longer));
        if (longer == NULL) {
            return error_set_memory(err);
        }
        builder->steps = longer;
        builder->capacity = capacity;
    }
    struct step *step = &builder->steps[builder->count++];
    *step = (struct step){.text = text_copy(statement->text),
                          .entry = text_copy(statement->entry),
                          .line = statement->line,
                          .is_remark = is_remark,
                          .begins = begins};
    builder->bytes += statement->length + strlen(statement->entry);
    if (step->text == NULL || step->entry == NULL) {
        return error_set_memory(err);
    }
    return !begins || describe(builder, statement, &step->build, err);
}

/* What follows relies on it, whoever runs that. The rows, if they are not there yet, do not. */
static bool set_in_all(struct index_builder *builder, const struct sql_statement *statement,
                       struct error *err)
{
    bool ok = builder->count == 0 || index_builder_run(builder, err);

    for (size_t i = 0; ok && i < builder->workers->count; i++) {
        struct session *session = builder->workers->items[i].session;
        ok = target_session_run(session, statement->text, err) ||
             replay_blame(session, builder->like_source, err) ||
             statement_entry_prefix(statement, err);
    }
    return ok;
}

bool index_builder_take(void *context, const struct sql_statement *statement, bool *taken,
                        struct error *err)
{
    struct index_builder *builder = context;
    enum kind kind = kind_of(statement);
    bool goes_on = builder->count > 0 &&
                   (kind == KIND_REMARK ||
                    strcmp(builder->steps[builder->count - 1].entry, statement->entry) == 0);

    *taken = false;
    if (set_statement_is(statement)) {
        return set_in_all(builder, statement, err);
    }
    *taken = goes_on || kind == KIND_BUILD || kind == KIND_FOREIGN_KEY;
    if (!*taken) {
        return index_builder_run(builder, err);
    }
    if (!goes_on && builder->count > 0 &&
        (kind != builder->kind || builder->bytes >= BATCH_MOST_BYTES) &&
        !index_builder_run(builder, err)) {
        return false;
    }
    if (!goes_on) {
        builder->kind = kind;
    }
    return add_step(builder, statement, kind == KIND_REMARK, !goes_on, err);
}

static bool run_step(const struct index_builder *builder, struct worker *worker,
                     const struct step *step, struct error *err)
{
    const struct sql_statement statement = {.entry = step->entry, .line = step->line};
    bool deadlock = true;
    bool ok = false;

    for (int tries = 0; !ok && deadlock && tries < MOST_DEADLOCKS; tries++) {
        ok = target_session_run(worker->session, step->text, err);
        deadlock = !ok && strcmp(target_session_sqlstate(worker->session), DEADLOCK) == 0;
    }
    return ok || replay_blame(worker->session, builder->like_source, err) ||
           statement_entry_prefix(&statement, err) ||
           error_prefix(err, "building indexes and keys");
}

static bool run_job(struct index_builder *builder, struct worker *worker, size_t number,
                    struct error *err)
{
    size_t i = builder->jobs[number];

    do {
        const struct step *step = &builder->steps[i++];
        if (!step->is_remark && !run_step(builder, worker, step, err)) {
            return false;
        }
    } while (i < builder->count && !builder->steps[i].begins);
    return true;
}

/* What they are about may have been another's job. */
static bool run_remarks(const struct index_builder *builder, struct error *err)
{
    for (size_t i = 0; i < builder->count; i++) {
        const struct step *step = &builder->steps[i];
        if (step->is_remark && !run_step(builder, &builder->workers->items[0], step, err)) {
            return false;
        }
    }
    return true;
}

/* All jobs of one worker: what it has begun to fill, only itself can end. */
static bool work(void *context, struct worker *worker, size_t number, struct error *err)
{
    struct round *round = context;
    struct index_builder *builder = round->builder;
    struct work_turn turn;
    bool ok = true;

    (void)number;
    while (ok && work_order_take(round->order, worker->number, &turn)) {
        ok = turn.segment != NULL ? builder->rows.fill(builder->rows.context, worker, &turn, err)
                                  : run_job(builder, worker, turn.build, err);
    }
    if (!ok) {
        work_order_stop(round->order);
    }
    return ok;
}

/* Cuts the batch into jobs, and puts them into the order. */
static bool divide(struct index_builder *builder, struct work_order *order, struct error *err)
{
    /* One more, for there may be none. */
    struct work_build *builds = calloc(builder->count + 1, sizeof(*builds));

    builder->jobs = calloc(builder->count + 1, sizeof(*builder->jobs));
    if (builds == NULL || builder->jobs == NULL) {
        free(builds);
        return error_set_memory(err);
    }
    for (size_t i = 0; i < builder->count; i++) {
        if (builder->steps[i].begins) {
            builds[builder->job_count] = builder->steps[i].build;
            builder->jobs[builder->job_count++] = i;
        }
    }
    bool ok = work_order_add_builds(order, builds, builder->job_count, err);
    free(builds);
    return ok;
}

static bool run_in(struct index_builder *builder, struct work_order *order, struct error *err)
{
    struct round round = {.builder = builder, .order = order};

    builder->has_rows = false;
    return divide(builder, order, err) &&
           workers_run(builder->workers, builder->workers->count, work, &round, err) &&
           run_remarks(builder, err);
}

static bool run_batch(struct index_builder *builder, struct error *err)
{
    if (builder->has_rows) {
        return run_in(builder, builder->rows.order, err);
    }
    struct work_order *order = work_order_new(NULL, 0, 0, builder->workers->count, err);
    bool ok = order != NULL && run_in(builder, order, err);
    work_order_free(order);
    return ok;
}

bool index_builder_run(void *context, struct error *err)
{
    struct index_builder *builder = context;

    if (builder->count == 0 && !builder->has_rows) {
        return true;
    }
    bool ok = run_batch(builder, err);
    if (!ok) {
        builder->failure = *err;
    }
    empty(builder);
    return ok;
}

bool index_builder_blame(const struct index_builder *builder, struct error *err)
{
    if (builder->failure.kind != ERROR_NONE) {
        *err = builder->failure;
    }
    return false;
}
