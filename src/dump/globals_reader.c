#include "dump/globals_reader.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/text.h"
#include "postgres/cluster_roles.h"

#define BODY_CAP ((size_t)64 * 1024 * 1024)

/* As pg_dump begins: text in the dump's encoding, nothing looked up in schemas of others. */
static const char beginning[] = "--\n-- Roles of the server\n--\n\n"
                                "SET client_encoding = '%s';\n"
                                "SET standard_conforming_strings = on;\n"
                                "SELECT pg_catalog.set_config('search_path', '', false);\n\nDO ";

/* What was made here is given its settings and memberships; a grant to a role that was there could
 * give it more than it had. The messages name no statement, which may hold a password. */
static const char before[] = "\nDECLARE\n"
                             "    made text[] := '{}';\n"
                             "    s record;\n"
                             "BEGIN\n"
                             "    FOR s IN SELECT * FROM (VALUES\n";
static const char after[] =
    "\n        ) v (number, step, role, sql) ORDER BY number\n"
    "    LOOP\n"
    "        CONTINUE WHEN s.step > 1 AND s.role <> ALL (made) OR s.step = 1 AND EXISTS (\n"
    "            SELECT FROM pg_catalog.pg_roles WHERE rolname::text = s.role);\n"
    "        BEGIN\n"
    "            EXECUTE s.sql;\n"
    "            made := CASE s.step WHEN 1 THEN made || s.role ELSE made END;\n"
    "        EXCEPTION WHEN OTHERS THEN\n"
    "            RAISE WARNING 'role %: %', s.role, SQLERRM;\n"
    "        END;\n"
    "    END LOOP;\n"
    "END\n";

struct body {
    struct text text;
    uint64_t statements;
};

/* 'text' as a literal of standard SQL. */
static void append_literal(struct text *out, const char *text)
{
    text_append(out, "'");
    for (const char *c = text; *c != '\0'; c++) {
        text_append_bytes(out, *c == '\'' ? "''" : c, *c == '\'' ? 2 : 1);
    }
    text_append(out, "'");
}

static bool add_statement(void *context, const char *step, const char *role, const char *statement,
                          struct error *err)
{
    struct body *body = context;

    text_appendf(&body->text, "%s        (%" PRIu64 ", %s, ", body->statements > 0 ? ",\n" : "",
                 body->statements + 1, step);
    append_literal(&body->text, role);
    text_append(&body->text, ", ");
    append_literal(&body->text, statement);
    text_append(&body->text, ")");
    body->statements++;
    return !body->text.failed || error_set_memory(err);
}

static bool print(const struct data_reader *reader, const struct body *body, struct error *err)
{
    struct server_facts server;
    struct text script = TEXT_INIT(2 * BODY_CAP);

    session_facts(reader->session, &server);
    text_appendf(&script, beginning, server.encoding);
    append_literal(&script, text_string(&body->text));
    text_append(&script, ";\n\n\n");
    bool ok = script.failed ? error_set_memory(err)
                            : segment_stream_write(reader->stream, script.data, script.length, err);
    text_clear(&script);
    return ok;
}

bool globals_reader_run(const struct data_reader *reader, struct error *err)
{
    struct body body = {.text = TEXT_INIT(BODY_CAP)};

    text_append(&body.text, before);
    bool ok =
        cluster_roles_read(reader->session, reader->role_passwords, add_statement, &body, err);
    text_append(&body.text, after);
    ok = ok && (!body.text.failed || error_set_memory(err)) && print(reader, &body, err);
    text_clear(&body.text);
    return ok;
}
