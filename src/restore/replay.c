#include "restore/replay.h"

#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "postgres/target_session.h"
#include "restore/script_facts.h"
#include "restore/set_statement.h"
#include "restore/statement_entry.h"

/* Class 22 (data) but for what encodings and locales cannot have, and 42601 (syntax); where all of
 * a database is restored on its own server, also classes 23 (constraints, which may depend on the
 * locale) and 42 (names), but for privileges. */
static bool is_own_fault(const char *code, bool like_source)
{
    static const char *const others[] = {"22021", "22023", "22P05", "42501"};

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (strcmp(code, others[i]) == 0) {
            return false;
        }
    }
    return strncmp(code, "22", 2) == 0 || strcmp(code, "42601") == 0 ||
           (like_source && (strncmp(code, "23", 2) == 0 || strncmp(code, "42", 2) == 0));
}

bool replay_blame(const struct session *session, bool like_source, struct error *err)
{
    if (err->kind == ERROR_FAILED && is_own_fault(target_session_sqlstate(session), like_source)) {
        err->kind = ERROR_DAMAGED;
    }
    return false;
}

bool replay_rules_want(const struct replay_rules *rules, const struct sql_statement *statement)
{
    return !set_statement_is_of_time(statement) &&
           (rules->globals || !script_facts_is_block(statement)) &&
           !(rules->no_owner && script_facts_is_ownership(statement)) &&
           !(rules->no_privileges && script_facts_is_privilege(statement)) &&
           (rules->wants == NULL || rules->wants(rules->context, statement));
}

static bool hint_owner(const struct replay *replay, const struct sql_statement *statement,
                       struct error *err)
{
    /* insufficient_privilege */
    if (script_facts_is_ownership(statement) &&
        strcmp(target_session_sqlstate(replay->session), "42501") == 0) {
        error_hint(err, "--no-owner leaves it to the role that restores; to restore owners, too, "
                        "takes a superuser or a member of theirs");
    }
    return false;
}

static bool run_statement(struct replay *replay, const struct sql_statement *statement,
                          struct error *err)
{
    return target_session_run(replay->session, statement->text, err) ||
           hint_owner(replay, statement, err) ||
           replay_blame(replay->session, replay->like_source, err);
}

/* What others fail in, who ran what stood before, is not this statement. */
static bool take_other(struct replay *replay, const struct sql_statement *statement,
                       struct error *err)
{
    bool taken = false;

    if (replay->content == REPLAY_ROWS) {
        error_set(err, ERROR_DAMAGED, "there is a statement where only rows may be");
        return statement_entry_prefix(statement, err);
    }
    if (replay->defer != NULL && !replay->defer(replay->context, statement, &taken, err)) {
        return false;
    }
    return taken || run_statement(replay, statement, err) || statement_entry_prefix(statement, err);
}

/* Returns false. */
static bool blame_rows(const struct replay *replay, struct error *err)
{
    return !row_transfer_may_be_to_blame(&replay->rows, target_session_sqlstate(replay->session)) &&
           replay_blame(replay->session, replay->like_source, err);
}

static bool begin_rows(struct replay *replay, const struct sql_statement *statement,
                       struct error *err)
{
    if (replay->content == REPLAY_STATEMENTS ||
        (replay->content == REPLAY_ROWS && replay->blocks > 0)) {
        return error_set(err, ERROR_DAMAGED, "there are rows where none may be");
    }
    replay->blocks++;
    replay->rows_before = replay->sum->rows;
    row_transfer_clear(&replay->rows);
    replay->rows = (struct row_transfer){.session = replay->session,
                                         .stall_ms = replay->stall_ms,
                                         .frozen = replay->frozen,
                                         .size = replay->size};
    return row_transfer_begin(&replay->rows, statement->text, statement->length, err) ||
           blame_rows(replay, err);
}

static bool take_statement(void *context, const struct sql_statement *statement, struct error *err)
{
    struct replay *replay = context;

    replay->skipping = !replay_rules_want(replay->rules, statement);
    if (replay->skipping) {
        return true;
    }
    if (!statement->is_copy) {
        return take_other(replay, statement, err);
    }
    return begin_rows(replay, statement, err) || statement_entry_prefix(statement, err);
}

static bool take_rows(void *context, const char *rows, size_t size, struct error *err)
{
    struct replay *replay = context;

    if (replay->skipping) {
        return true;
    }
    row_sum_add(replay->sum, rows, size);
    return row_transfer_write(&replay->rows, rows, size, err) || blame_rows(replay, err);
}

static bool end_rows(void *context, struct error *err)
{
    struct replay *replay = context;
    int64_t rows = 0;

    if (replay->skipping) {
        return true;
    }
    if (!row_transfer_end(&replay->rows, &rows, err)) {
        return blame_rows(replay, err);
    }
    return (uint64_t)rows == replay->sum->rows - replay->rows_before ||
           error_set(err, ERROR_FAILED, "the server took %" PRId64 " rows of %" PRIu64, rows,
                     replay->sum->rows - replay->rows_before);
}

static void release(void *context)
{
    struct replay *replay = context;

    row_transfer_clear(&replay->rows);
}

struct stage *replay_stage_new(struct replay *replay, struct error *err)
{
    const struct sql_script_sink sink = {.statement = take_statement,
                                         .rows = take_rows,
                                         .rows_end = end_rows,
                                         .release = release,
                                         .context = replay};

    return sql_script_stage_new(&sink, err);
}
