#include "restore/index_builder.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "postgres/target_session.h"
#include "restore/replay.h"
#include "restore/set_statement.h"
#include "restore/statement_entry.h"

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
    KIND_REMARK, /* about what stands before it */
};

struct step {
    char *text;
    char *entry;
    uint64_t line;
    bool begins; /* an entry: the steps up to the next such one are one job */
};

struct index_builder {
    struct workers *workers;
    bool like_source;
    enum kind kind; /* of the batch */
    struct step *steps;
    size_t count;
    size_t capacity;
    size_t bytes;
    size_t *jobs; /* the first step of each */
    size_t job_count;
};

struct index_builder *index_builder_new(struct workers *workers, bool like_source,
                                        struct error *err)
{
    struct index_builder *builder = calloc(1, sizeof(*builder));

    if (builder == NULL) {
        error_set_memory(err);
        return NULL;
    }
    builder->workers = workers;
    builder->like_source = like_source;
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

static bool add_step(struct index_builder *builder, const struct sql_statement *statement,
                     bool begins, struct error *err)
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
                          .begins = begins};
    builder->bytes += statement->length + strlen(statement->entry);
    return (step->text != NULL && step->entry != NULL) || error_set_memory(err);
}

/* What follows relies on it, whoever runs that. */
static bool set_in_all(struct index_builder *builder, const struct sql_statement *statement,
                       struct error *err)
{
    bool ok = index_builder_run(builder, err);

    for (size_t i = 0; ok && i < builder->workers->count; i++) {
        ok = target_session_run(builder->workers->items[i].session, statement->text, err);
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
        return true;
    }
    if (!goes_on && (kind != builder->kind || builder->bytes >= BATCH_MOST_BYTES)) {
        if (!index_builder_run(builder, err)) {
            return false;
        }
        builder->kind = kind;
    }
    return add_step(builder, statement, !goes_on, err);
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
           statement_entry_prefix(&statement, err);
}

static bool run_job(void *context, struct worker *worker, size_t number, struct error *err)
{
    struct index_builder *builder = context;
    size_t step = builder->jobs[number];

    do {
        if (!run_step(builder, worker, &builder->steps[step], err)) {
            return false;
        }
        step++;
    } while (step < builder->count && !builder->steps[step].begins);
    return true;
}

static bool divide(struct index_builder *builder, struct error *err)
{
    builder->jobs = calloc(builder->count, sizeof(*builder->jobs));
    if (builder->jobs == NULL) {
        return error_set_memory(err);
    }
    for (size_t i = 0; i < builder->count; i++) {
        if (builder->steps[i].begins) {
            builder->jobs[builder->job_count++] = i;
        }
    }
    return true;
}

bool index_builder_run(void *context, struct error *err)
{
    struct index_builder *builder = context;

    if (builder->count == 0) {
        return true;
    }
    bool ok = divide(builder, err) &&
              workers_run(builder->workers, builder->job_count, run_job, builder, err);
    empty(builder);
    return ok;
}
