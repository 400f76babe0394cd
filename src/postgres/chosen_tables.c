#include "postgres/chosen_tables.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "postgres/query.h"
#include "postgres/transaction.h"

#define REGEX_CAP ((size_t)8192)
#define LIST_CAP  ((size_t)16 * 1024 * 1024)

static const char outward[] = "SET LOCAL search_path TO DEFAULT";
static const char inward[] = "SET LOCAL search_path TO ''";

/* Nothing is looked up in the search path, which is the role's for that time. */
#define RELATIONS                                                                                  \
    " FROM unnest($1::pg_catalog.text[], $2::pg_catalog.text[])"                                   \
    " WITH ORDINALITY AS p (schema, name, number) LEFT JOIN (pg_catalog.pg_class c"                \
    " JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace)"              \
    " ON c.relkind OPERATOR(pg_catalog.=) ANY ('{r,S,v,m,f,p}'::pg_catalog.\"char\"[])"            \
    " AND c.relname OPERATOR(pg_catalog.~) (p.name COLLATE pg_catalog.default)"                    \
    " AND CASE WHEN p.schema OPERATOR(pg_catalog.=) '' THEN pg_catalog.pg_table_is_visible(c.oid)" \
    " ELSE n.nspname OPERATOR(pg_catalog.~) (p.schema COLLATE pg_catalog.default) END"

static const char find_query[] =
    "SELECT DISTINCT c.oid" RELATIONS " WHERE c.oid IS NOT NULL ORDER BY c.oid";

/* Per pattern: a table of the system that it chooses, or ''; NULL when it chooses nothing. */
static const char check_query[] =
    "SELECT p.number OPERATOR(pg_catalog.-) 1, CASE WHEN pg_catalog.count(c.oid)"
    " OPERATOR(pg_catalog.>) 0 THEN coalesce(pg_catalog.min(CASE WHEN n.nspname"
    " OPERATOR(pg_catalog.~) '^pg_' OR n.nspname OPERATOR(pg_catalog.=) 'information_schema'"
    " THEN pg_catalog.format('%I.%I', n.nspname, c.relname) END), '') END" RELATIONS
    " GROUP BY p.number ORDER BY p.number";

/* Between quotes everything stands for itself but '*' and '?' of regular expressions, too. */
static bool is_special(char c)
{
    return strchr("|*+?()[]{}.^$\\", c) != NULL;
}

void chosen_tables_translate(const char *pattern, struct text *schema, struct text *name)
{
    struct text *part = name;
    bool quoted = false;

    text_append(part, "^(");
    for (const char *c = pattern; *c != '\0'; c++) {
        if (*c == '"' && quoted && c[1] == '"') {
            text_append(part, "\"");
            c++;
        } else if (*c == '"') {
            quoted = !quoted;
        } else if (!quoted && *c == '*') {
            text_append(part, ".*");
        } else if (!quoted && *c == '?') {
            text_append(part, ".");
        } else if (!quoted && *c == '.') {
            text_append_bytes(schema, text_string(name), name->length);
            text_append(schema, ")$");
            text_clear(name);
            text_append(name, "^(");
        } else {
            char letter = quoted ? *c : (char)tolower((unsigned char)*c);
            bool escaped = *c == '$' || (*c == '[' && c[1] == ']') || (quoted && is_special(*c));
            text_append(part, escaped ? "\\" : "");
            text_append_bytes(part, &letter, 1);
        }
    }
    text_append(part, ")$");
}

/* Two arrays for unnest(): the expressions of schemas and of names. */
static bool translate_all(char *const *patterns, struct text *schemas, struct text *names,
                          struct error *err)
{
    for (size_t i = 0; patterns[i] != NULL; i++) {
        struct text schema = TEXT_INIT(REGEX_CAP);
        struct text name = TEXT_INIT(REGEX_CAP);
        chosen_tables_translate(patterns[i], &schema, &name);
        text_append(schemas, i > 0 ? "," : "{");
        text_append(names, i > 0 ? "," : "{");
        query_append_element(schemas, text_string(&schema));
        query_append_element(names, text_string(&name));
        schemas->failed |= schema.failed;
        names->failed |= name.failed;
        text_clear(&schema);
        text_clear(&name);
    }
    text_append(schemas, "}");
    text_append(names, "}");
    return (!schemas->failed && !names->failed) || error_set_memory(err);
}

static PGresult *match(struct session *session, const char *query, char *const *patterns,
                       struct error *err)
{
    struct text schemas = TEXT_INIT(LIST_CAP);
    struct text names = TEXT_INIT(LIST_CAP);
    PGresult *result = NULL;

    if (translate_all(patterns, &schemas, &names, err) && query_script(session, outward, err)) {
        const char *values[] = {text_string(&schemas), text_string(&names)};
        result = query_run(session, query, 2, values, err);
    }
    text_clear(&schemas);
    text_clear(&names);
    if (result != NULL && !query_script(session, inward, err)) {
        PQclear(result);
        result = NULL;
    }
    return result;
}

static char *format_oids(const PGresult *result, struct error *err)
{
    struct text oids = TEXT_INIT(LIST_CAP);

    text_append(&oids, "{");
    for (int row = 0; row < PQntuples(result); row++) {
        text_appendf(&oids, "%s%s", row > 0 ? "," : "", PQgetvalue(result, row, 0));
    }
    text_append(&oids, "}");
    if (oids.failed) {
        text_clear(&oids);
        error_set_memory(err);
    }
    return oids.data;
}

bool chosen_tables_find(struct session *session, const struct scope *scope,
                        struct chosen_tables *out, struct error *err)
{
    struct chosen_tables chosen = {.schemas = NULL};
    bool ok = scope->lists[SCOPE_SCHEMAS] == NULL || scope->lists[SCOPE_TABLES] != NULL ||
              query_format_array(scope->lists[SCOPE_SCHEMAS], &chosen.schemas, err);

    for (int i = SCOPE_TABLES; ok && i < SCOPE_LISTS; i++) {
        if (scope->lists[i] == NULL) {
            continue;
        }
        PGresult *result = match(session, find_query, scope->lists[i], err);
        chosen.oids[i] = result != NULL ? format_oids(result, err) : NULL;
        ok = chosen.oids[i] != NULL ||
             error_prefix(err, "matching the patterns of --%s", scope_option((enum scope_list)i));
        PQclear(result);
    }
    if (!ok) {
        chosen_tables_clear(&chosen);
        return false;
    }
    *out = chosen;
    return true;
}

void chosen_tables_clear(struct chosen_tables *chosen)
{
    free(chosen->schemas);
    for (int i = 0; i < SCOPE_LISTS; i++) {
        free(chosen->oids[i]);
    }
    *chosen = (struct chosen_tables){.schemas = NULL};
}

static bool judge(enum scope_list list, const char *pattern, const char *system_table,
                  struct error *err)
{
    const char *option = scope_option(list);

    if (system_table == NULL && list != SCOPE_TABLES) {
        log_warning("pattern_without_table", "--%s: the pattern '%s' chooses no table", option,
                    pattern);
        return true;
    }
    if (system_table == NULL) {
        error_set(err, ERROR_CONFIG, "--%s: the pattern '%s' chooses no table", option, pattern);
        return error_hint(err, "without a schema it means a table in the role's search path; "
                               "capital letters need double quotes");
    }
    if (list == SCOPE_TABLES && *system_table != '\0') {
        error_set(err, ERROR_CONFIG, "--%s: the pattern '%s' chooses %s, a table of the system",
                  option, pattern, system_table);
        return error_hint(err, "name the schema, too, as in 'public.*'");
    }
    return true;
}

static bool check_list(struct session *session, const struct scope *scope, enum scope_list list,
                       struct error *err)
{
    char *const *patterns = scope->lists[list];
    PGresult *result = match(session, check_query, patterns, err);

    if (result == NULL) {
        /* invalid_regular_expression (manual, appendix A) */
        err->kind = strcmp(session->sqlstate, "2201B") == 0 ? ERROR_CONFIG : err->kind;
        return error_prefix(err, "matching the patterns of --%s", scope_option(list));
    }
    bool ok = true;
    for (int row = 0; ok && row < PQntuples(result); row++) {
        ok = judge(list, patterns[query_number(result, row, 0)], query_text(result, row, 1), err);
    }
    PQclear(result);
    return ok;
}

bool chosen_tables_check(struct session *session, const struct scope *scope, struct error *err)
{
    struct error ignored = ERROR_INIT;
    bool ok = transaction_begin(session, err);

    for (int i = SCOPE_TABLES; ok && i < SCOPE_LISTS; i++) {
        ok = scope->lists[i] == NULL || check_list(session, scope, (enum scope_list)i, err);
    }
    query_settle(session, &ignored);
    return ok;
}
