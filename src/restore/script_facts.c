#include "restore/script_facts.h"

#include <stdlib.h>
#include <string.h>

#include "restore/sql_lexer.h"

/* The statement that is read: the token it is at, and those outside of parentheses before. */
struct reader {
    struct sql_lexer lexer;
    struct sql_token token;
    size_t parentheses;
};

static bool next(struct reader *reader)
{
    if (sql_lexer_next_solid(&reader->lexer, &reader->token) == SQL_TOKEN_MORE) {
        reader->token = (struct sql_token){.kind = SQL_TOKEN_MORE};
        return false;
    }
    return true;
}

/* The next token outside of parentheses. */
static bool next_outer(struct reader *reader)
{
    while (next(reader)) {
        if (sql_token_is_symbol(&reader->token, '(')) {
            reader->parentheses++;
        } else if (sql_token_is_symbol(&reader->token, ')') && reader->parentheses > 0) {
            reader->parentheses--;
        } else if (reader->parentheses == 0) {
            return true;
        }
    }
    return false;
}

static void begin(struct reader *reader, const struct sql_statement *statement)
{
    *reader = (struct reader){.parentheses = 0};
    sql_lexer_init(&reader->lexer, statement->text, statement->length);
    next(reader);
}

static bool is_at(const struct reader *reader, const char *word)
{
    return sql_token_is_word(&reader->token, word);
}

/* Passes over the word, if it is there. */
static bool pass(struct reader *reader, const char *word)
{
    return is_at(reader, word) && (next(reader), true);
}

/* Goes on to the word behind this one. */
static bool pass_to(struct reader *reader, const char *word)
{
    while (reader->token.kind != SQL_TOKEN_MORE) {
        if (is_at(reader, word)) {
            return next_outer(reader);
        }
        next_outer(reader);
    }
    return false;
}

/* The index of the first name that is not before this one. */
static size_t find(const struct script_names *names, const char *name)
{
    size_t low = 0;
    size_t high = names->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(names->items[middle], name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Takes over the name. */
static bool insert(struct script_names *names, char *name, struct error *err)
{
    size_t at = find(names, name);

    if (at < names->count && strcmp(names->items[at], name) == 0) {
        free(name);
        return true;
    }
    if (names->count == SCRIPT_FACTS_MOST) {
        free(name);
        return error_set(err, ERROR_DAMAGED,
                         "the script names more than %zu roles, extensions or tablespaces",
                         SCRIPT_FACTS_MOST);
    }
    char **items = realloc(names->items, (names->count + 1) * sizeof(*items));
    if (items == NULL) {
        free(name);
        return error_set_memory(err);
    }
    memmove(items + at + 1, items + at, (names->count - at) * sizeof(*items));
    items[at] = name;
    names->items = items;
    names->count++;
    return true;
}

/* The token: a name, or a string; anything else says nothing. */
static bool add(struct script_names *names, const struct sql_token *token, struct error *err)
{
    if (!sql_token_is_name(token) && token->kind != SQL_TOKEN_STRING) {
        return true;
    }
    char *name = sql_token_unquote(token, err);
    if (name == NULL) {
        return false;
    }
    if (name[0] == '\0') {
        free(name);
        return true;
    }
    return insert(names, name, err);
}

/* A role or a keyword in its place; "public" means PUBLIC with quotes, too. */
static bool add_role(struct script_facts *facts, const struct sql_token *token, struct error *err)
{
    static const char *const others[] = {"current_user", "current_role", "session_user",
                                         "user",         "default",      "none"};
    static const char quoted_public[] = "\"public\"";

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (sql_token_is_word(token, others[i])) {
            return true;
        }
    }
    if (sql_token_is_word(token, "public") ||
        (token->length == strlen(quoted_public) &&
         memcmp(token->text, quoted_public, token->length) == 0)) {
        return true;
    }
    return add(&facts->roles, token, err);
}

/* "a, b" */
static bool add_roles(struct script_facts *facts, struct reader *reader, struct error *err)
{
    bool more = true;

    while (more) {
        pass(reader, "group");
        if (!add_role(facts, &reader->token, err)) {
            return false;
        }
        next(reader);
        more = sql_token_is_symbol(&reader->token, ',') && next(reader);
    }
    return true;
}

/* Those that stand behind the word. */
static bool add_roles_after(struct script_facts *facts, struct reader *reader, const char *word,
                            struct error *err)
{
    return !pass_to(reader, word) || add_roles(facts, reader, err);
}

/* At GRANT or REVOKE. */
static bool read_grant(struct script_facts *facts, struct reader *reader, struct error *err)
{
    return add_roles_after(facts, reader, is_at(reader, "grant") ? "to" : "from", err);
}

/* FOR ROLE a IN SCHEMA b GRANT ... */
static bool read_default_privileges(struct script_facts *facts, struct reader *reader,
                                    struct error *err)
{
    if (pass(reader, "for") && (pass(reader, "role") || pass(reader, "user")) &&
        !add_roles(facts, reader, err)) {
        return false;
    }
    while (reader->token.kind != SQL_TOKEN_MORE && !is_at(reader, "grant") &&
           !is_at(reader, "revoke")) {
        next(reader);
    }
    return read_grant(facts, reader, err);
}

static bool read_create(struct script_facts *facts, struct reader *reader, struct error *err)
{
    if (pass(reader, "extension")) {
        if (pass(reader, "if")) {
            next(reader); /* NOT */
            next(reader); /* EXISTS */
        }
        return add(&facts->extensions, &reader->token, err);
    }
    if (pass(reader, "policy")) {
        next(reader); /* its name */
        return add_roles_after(facts, reader, "to", err);
    }
    if (pass(reader, "user") && pass(reader, "mapping")) {
        return add_roles_after(facts, reader, "for", err);
    }
    return true;
}

static bool read_set(struct script_facts *facts, struct reader *reader, struct error *err)
{
    if (pass(reader, "session") && pass(reader, "authorization")) {
        return add_role(facts, &reader->token, err);
    }
    if (pass(reader, "default_tablespace")) {
        next(reader); /* = or TO */
        return add(&facts->tablespaces, &reader->token, err);
    }
    return true;
}

/* Behind ALTER: goes on to the role of "... OWNER TO role;". */
static bool find_owner(struct reader *reader, struct sql_token *role)
{
    bool after_owner = false;

    while (next_outer(reader)) {
        bool is_to = after_owner && is_at(reader, "to");
        after_owner = is_at(reader, "owner");
        if (is_to && next(reader)) {
            *role = reader->token;
            return next(reader) && sql_token_is_symbol(&reader->token, ';');
        }
    }
    return false;
}

bool script_facts_add(struct script_facts *facts, const struct sql_statement *statement,
                      struct error *err)
{
    struct reader reader;
    struct sql_token owner;

    begin(&reader, statement);
    if (is_at(&reader, "grant") || is_at(&reader, "revoke")) {
        return read_grant(facts, &reader, err);
    }
    if (pass(&reader, "create")) {
        return read_create(facts, &reader, err);
    }
    if (pass(&reader, "set")) {
        return read_set(facts, &reader, err);
    }
    if (pass(&reader, "alter")) {
        if (pass(&reader, "default")) {
            return !pass(&reader, "privileges") || read_default_privileges(facts, &reader, err);
        }
        return !find_owner(&reader, &owner) || add_role(facts, &owner, err);
    }
    return true;
}

static void names_clear(struct script_names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        free(names->items[i]);
    }
    free(names->items);
}

void script_facts_clear(struct script_facts *facts)
{
    names_clear(&facts->roles);
    names_clear(&facts->extensions);
    names_clear(&facts->tablespaces);
    *facts = (struct script_facts){.roles = {.items = NULL}};
}

bool script_facts_is_ownership(const struct sql_statement *statement)
{
    struct reader reader;
    struct sql_token owner;

    begin(&reader, statement);
    if (pass(&reader, "alter")) {
        return !is_at(&reader, "default") && find_owner(&reader, &owner);
    }
    return (pass(&reader, "set") || pass(&reader, "reset")) && pass(&reader, "session") &&
           is_at(&reader, "authorization");
}

bool script_facts_is_block(const struct sql_statement *statement)
{
    struct reader reader;

    begin(&reader, statement);
    return is_at(&reader, "do");
}

bool script_facts_is_privilege(const struct sql_statement *statement)
{
    struct reader reader;

    begin(&reader, statement);
    return is_at(&reader, "grant") || is_at(&reader, "revoke") ||
           (pass(&reader, "alter") && pass(&reader, "default") && is_at(&reader, "privileges"));
}
