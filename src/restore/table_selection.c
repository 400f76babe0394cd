#include "restore/table_selection.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "restore/script_facts.h"
#include "restore/sql_lexer.h"
#include "restore/statement_entry.h"

#define NAME_CAP       ((size_t)4096)
#define MOST_SEQUENCES 100000
/* Bytes of a wrong name that are told. */
#define SHOWN 200

const struct segment_table *table_selection_written(const struct table_selection *selection,
                                                    size_t table)
{
    return selection->written != NULL ? &selection->written[table]
                                      : &selection->segments->tables[table];
}

static bool has_table(const struct table_selection *selection, const struct qualified_name *name)
{
    for (size_t i = 0; i < selection->segments->table_count; i++) {
        const struct segment_table *table = table_selection_written(selection, i);
        if (selection->chosen[i] && strcmp(table->name, name->name) == 0 &&
            strcmp(table->schema, name->schema) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_sequence(const struct table_selection *selection, const struct qualified_name *name)
{
    for (size_t i = 0; i < selection->sequence_count; i++) {
        if (strcmp(selection->sequences[i].name, name->name) == 0 &&
            strcmp(selection->sequences[i].schema, name->schema) == 0) {
            return true;
        }
    }
    return false;
}

/* Takes over the name. */
static bool add_sequence(struct table_selection *selection, struct qualified_name *name,
                         struct error *err)
{
    if (selection->sequence_count == MOST_SEQUENCES) {
        return error_set(err, ERROR_DAMAGED, "the tables own more than %d sequences",
                         MOST_SEQUENCES);
    }
    if (selection->sequence_count == selection->sequence_capacity) {
        size_t capacity = selection->sequence_capacity > 0 ? selection->sequence_capacity * 2 : 16;
        struct qualified_name *longer =
            reallocarray(selection->sequences, capacity, sizeof(*longer));
        if (longer == NULL) {
            return error_set_memory(err);
        }
        selection->sequences = longer;
        selection->sequence_capacity = capacity;
    }
    selection->sequences[selection->sequence_count++] = *name;
    *name = (struct qualified_name){NULL, NULL};
    return true;
}

/* schema.name, or "schema"."name" with each quote doubled */
static bool is_called(const struct segment_table *table, const char *wanted, struct error *err,
                      bool *is_it)
{
    struct text plain = TEXT_INIT(NAME_CAP);
    struct text quoted = TEXT_INIT(NAME_CAP);
    const char *parts[] = {table->schema, table->name};

    text_appendf(&plain, "%s.%s", table->schema, table->name);
    for (size_t i = 0; i < 2; i++) {
        text_append(&quoted, i == 0 ? "\"" : ".\"");
        for (const char *c = parts[i]; *c != '\0'; c++) {
            text_append_bytes(&quoted, *c == '"' ? "\"\"" : c, *c == '"' ? 2 : 1);
        }
        text_append(&quoted, "\"");
    }
    bool ok = !plain.failed && !quoted.failed;
    *is_it = ok && (strcmp(text_string(&plain), wanted) == 0 ||
                    strcmp(text_string(&quoted), wanted) == 0);
    text_clear(&plain);
    text_clear(&quoted);
    return ok || error_set_memory(err);
}

static bool choose(struct table_selection *selection, const char *wanted, struct error *err)
{
    const struct segments *segments = selection->segments;
    size_t found = 0;

    for (size_t i = 0; i < segments->table_count; i++) {
        bool is_it;
        if (!is_called(&segments->tables[i], wanted, err, &is_it)) {
            return false;
        }
        if (is_it) {
            selection->chosen[i] = true;
            found++;
        }
    }
    if (found == 1) {
        return true;
    }
    if (found > 1) {
        error_set(err, ERROR_USAGE, "--table %.*s means several tables", SHOWN, wanted);
        return error_hint(err, "quote its parts: '\"SCHEMA\".\"TABLE\"'");
    }
    error_set(err, ERROR_USAGE, "the backup has no table %.*s with rows of its own", SHOWN, wanted);
    return error_hint(err, "'rythm-backup list NAME' lists its tables, as SCHEMA.TABLE");
}

bool table_selection_make(struct table_selection *selection, const struct segments *segments,
                          const char *const *names, size_t count, struct error *err)
{
    *selection = (struct table_selection){.segments = segments};
    selection->chosen = calloc(segments->table_count + 1, sizeof(*selection->chosen));
    if (selection->chosen == NULL) {
        return error_set_memory(err);
    }
    for (size_t i = 0; count == 0 && i < segments->table_count; i++) {
        selection->chosen[i] = true;
    }
    for (size_t i = 0; i < count; i++) {
        if (!choose(selection, names[i], err)) {
            return false;
        }
    }
    return true;
}

bool table_selection_foreign_names(const struct table_selection *selection, const char *encoding,
                                   char ***names, struct error *err)
{
    const struct segments *segments = selection->segments;
    bool differs = false;
    size_t count = 0;

    *names = NULL;
    if (strcmp(encoding, "UTF8") == 0 || strcmp(encoding, "SQL_ASCII") == 0) {
        return true;
    }
    char **list = calloc(2 * segments->table_count + 1, sizeof(*list));
    if (list == NULL) {
        return error_set_memory(err);
    }
    for (size_t i = 0; i < segments->table_count; i++) {
        const struct segment_table *table = &segments->tables[i];
        if (selection->chosen[i]) {
            list[count++] = table->schema;
            list[count++] = table->name;
            differs = differs || !text_is_printable_ascii(table->schema) ||
                      !text_is_printable_ascii(table->name);
        }
    }
    if (differs) {
        *names = list;
    } else {
        free(list);
    }
    return true;
}

bool table_selection_rename(struct table_selection *selection, char **names, struct error *err)
{
    size_t table_count = selection->segments->table_count;
    size_t count = 0;

    selection->written_names = names;
    selection->written = calloc(table_count + 1, sizeof(*selection->written));
    if (selection->written == NULL) {
        return error_set_memory(err);
    }
    for (size_t i = 0; i < table_count; i++) {
        if (selection->chosen[i]) {
            selection->written[i].schema = names[count++];
            selection->written[i].name = names[count++];
        }
    }
    return true;
}

void table_selection_clear(struct table_selection *selection)
{
    for (size_t i = 0; i < selection->sequence_count; i++) {
        qualified_name_clear(&selection->sequences[i]);
    }
    free(selection->sequences);
    free(selection->chosen);
    free(selection->written);
    text_list_free(selection->written_names);
    *selection = (struct table_selection){.segments = NULL};
}

/* ALTER SEQUENCE s.q OWNED BY s.t.c */
static bool learn_owned(struct table_selection *selection, struct sql_lexer *lexer,
                        struct error *err)
{
    struct qualified_name sequence = {NULL, NULL};
    struct qualified_name table = {NULL, NULL};
    bool found = false;

    bool ok = qualified_name_next(lexer, &sequence, &found, err) &&
              (!found || qualified_name_next(lexer, &table, &found, err)) &&
              (!found || !has_table(selection, &table) || add_sequence(selection, &sequence, err));
    qualified_name_clear(&sequence);
    qualified_name_clear(&table);
    return ok;
}

/* ALTER TABLE s.t ALTER COLUMN c ADD GENERATED ... AS IDENTITY (SEQUENCE NAME s.q ...) */
static bool learn_identity(struct table_selection *selection, struct sql_lexer *lexer,
                           struct error *err)
{
    struct qualified_name table = {NULL, NULL};
    struct qualified_name sequence = {NULL, NULL};
    bool found = false;

    bool ok = qualified_name_next(lexer, &table, &found, err) &&
              (!found || !has_table(selection, &table) ||
               qualified_name_next(lexer, &sequence, &found, err)) &&
              (sequence.name == NULL || add_sequence(selection, &sequence, err));
    qualified_name_clear(&table);
    qualified_name_clear(&sequence);
    return ok;
}

bool table_selection_learn(struct table_selection *selection, const struct sql_statement *statement,
                           struct error *err)
{
    struct sql_lexer lexer;
    struct sql_token verb;

    sql_lexer_init(&lexer, statement->text, statement->length);
    sql_lexer_next_solid(&lexer, &verb);
    if (!sql_token_is_word(&verb, "alter")) {
        return true;
    }
    if (statement_entry_has_type(statement, "SEQUENCE OWNED BY")) {
        return learn_owned(selection, &lexer, err);
    }
    return !statement_entry_has_type(statement, "SEQUENCE") ||
           learn_identity(selection, &lexer, err);
}

static bool is_wanted_type(const struct sql_statement *statement)
{
    static const char *const types[] = {
        "TABLE", "SEQUENCE", "SEQUENCE OWNED BY", "DEFAULT", "CONSTRAINT", "CHECK CONSTRAINT",
        "INDEX", "ACL",      "ROW SECURITY",
    };

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (statement_entry_has_type(statement, types[i])) {
            return true;
        }
    }
    return false;
}

/* pg_dump writes comments, and the settings of an index's columns, right after what they are of. */
static bool is_remark(const struct sql_statement *statement, struct sql_lexer *lexer,
                      const struct sql_token *verb)
{
    struct sql_token noun;

    if (statement_entry_has_type(statement, "COMMENT")) {
        return true;
    }
    sql_lexer_next_solid(lexer, &noun);
    return sql_token_is_word(verb, "alter") && sql_token_is_word(&noun, "index") &&
           statement_entry_has_type(statement, "INDEX");
}

static bool names_wanted(struct table_selection *selection, const struct sql_statement *statement)
{
    struct error ignored = ERROR_INIT;
    struct qualified_name name = {NULL, NULL};
    bool found = false;

    if (!is_wanted_type(statement)) {
        return false;
    }
    selection->failed |=
        !qualified_name_first(statement->text, statement->length, &name, &found, &ignored);
    bool wanted = found && (has_table(selection, &name) || has_sequence(selection, &name));
    qualified_name_clear(&name);
    return wanted;
}

/* In front of a privilege that another role has given comes SET SESSION AUTHORIZATION, and before
 * that the one that lets it; RESET comes behind. */
static bool wants_authorization(struct table_selection *selection, bool is_reset)
{
    bool wanted = is_reset ? selection->as_other : selection->last_wanted;

    selection->as_other = wanted && !is_reset;
    return wanted;
}

bool table_selection_wants(void *context, const struct sql_statement *statement)
{
    struct table_selection *selection = context;
    struct sql_lexer lexer;
    struct sql_token verb;

    sql_lexer_init(&lexer, statement->text, statement->length);
    sql_lexer_next_solid(&lexer, &verb);
    bool is_set = sql_token_is_word(&verb, "set");
    bool is_reset = sql_token_is_word(&verb, "reset");
    if ((is_set || is_reset) && script_facts_is_ownership(statement)) {
        return wants_authorization(selection, is_reset);
    }
    if (is_set) {
        return true;
    }
    if (!is_remark(statement, &lexer, &verb)) {
        selection->last_wanted = names_wanted(selection, statement);
    }
    return selection->last_wanted;
}

/* SELECT pg_catalog.setval('"s"."q"', ...) */
bool table_selection_wants_value(void *context, const struct sql_statement *statement)
{
    struct table_selection *selection = context;
    struct error ignored = ERROR_INIT;
    struct qualified_name name = {NULL, NULL};
    struct sql_lexer lexer;
    struct sql_token token;
    bool found = false;

    sql_lexer_init(&lexer, statement->text, statement->length);
    while (sql_lexer_next_solid(&lexer, &token) != SQL_TOKEN_MORE &&
           token.kind != SQL_TOKEN_STRING) {
    }
    if (token.kind != SQL_TOKEN_STRING) {
        return false;
    }
    char *ident = sql_token_unquote(&token, &ignored);
    if (ident == NULL || !qualified_name_first(ident, strlen(ident), &name, &found, &ignored)) {
        selection->failed = true;
        free(ident);
        return false;
    }
    bool wanted = found && has_sequence(selection, &name);
    qualified_name_clear(&name);
    free(ident);
    return wanted;
}

bool table_selection_names(const struct sql_statement *statement, const struct segment_table *table,
                           bool *names, struct error *err)
{
    struct qualified_name name = {NULL, NULL};
    bool found = false;

    if (!qualified_name_first(statement->text, statement->length, &name, &found, err)) {
        return false;
    }
    *names =
        found && strcmp(name.schema, table->schema) == 0 && strcmp(name.name, table->name) == 0;
    qualified_name_clear(&name);
    return true;
}
