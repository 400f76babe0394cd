/*
 * Scripts taken apart again. Each is fed whole, byte by byte and in random pieces, and the result
 * must be the same; what is expected was written by hand from the manual and from what psql does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "restore/copy_end.h"
#include "restore/copy_statement.h"
#include "restore/script_facts.h"
#include "restore/sql_lexer.h"
#include "restore/sql_script.h"
#include "restore/toc_entry.h"
#include "restore/work_order.h"

#define TRANSCRIPT_MOST ((size_t)256 * 1024 * 1024)

/* "LINE|ENTRY|STATEMENT\n", "rows<...>\n": one text that says what came. */
struct transcript {
    struct text text;
    bool in_rows;
    const char *fail_at; /* a statement that begins so fails */
};

static bool take_statement(void *context, const struct sql_statement *statement, struct error *err)
{
    struct transcript *transcript = context;

    assert_false(transcript->in_rows);
    assert_int_equal(strlen(statement->text), statement->length);
    if (transcript->fail_at != NULL &&
        strncmp(statement->text, transcript->fail_at, strlen(transcript->fail_at)) == 0) {
        return error_set(err, ERROR_FAILED, "the sink is full");
    }
    text_appendf(&transcript->text, "%" PRIu64 "|%s|", statement->line, statement->entry);
    text_append(&transcript->text, statement->text);
    text_append(&transcript->text, "\n");
    if (statement->is_copy) {
        text_append(&transcript->text, "rows<");
        transcript->in_rows = true;
    }
    return true;
}

static bool take_rows(void *context, const char *rows, size_t size, struct error *err)
{
    struct transcript *transcript = context;

    (void)err;
    assert_true(transcript->in_rows);
    assert_true(size > 0);
    text_append_bytes(&transcript->text, rows, size);
    return true;
}

static bool take_rows_end(void *context, struct error *err)
{
    struct transcript *transcript = context;

    (void)err;
    assert_true(transcript->in_rows);
    transcript->in_rows = false;
    text_append(&transcript->text, ">\n");
    return true;
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

/* `most`: bytes of the longest piece; the pieces are of random length below. */
static bool feed(struct transcript *transcript, const char *script, size_t length, size_t most,
                 struct error *err)
{
    const struct sql_script_sink sink = {.statement = take_statement,
                                         .rows = take_rows,
                                         .rows_end = take_rows_end,
                                         .context = transcript};
    struct stage *stage = sql_script_stage_new(&sink, err);
    uint32_t state = (uint32_t)most;
    bool ok = true;

    assert_non_null(stage);
    transcript->text = (struct text)TEXT_INIT(TRANSCRIPT_MOST);
    transcript->in_rows = false;
    for (size_t at = 0; ok && at < length;) {
        size_t size = most <= 1 ? most : next_random(&state) % most + 1;
        size = size == 0 || size > length - at ? length - at : size;
        /* A copy of its own, so that a checker of memory sees a read beyond the piece. */
        char *piece = malloc(size);
        assert_non_null(piece);
        memcpy(piece, script + at, size);
        ok = stage_write(stage, piece, size, err);
        free(piece);
        at += size;
    }
    ok = ok && stage_finish(stage, err);
    stage_free(stage);
    assert_false(transcript->text.failed);
    return ok;
}

/* 0: all at once */
static const size_t piece_sizes[] = {0, 1, 2, 3, 7, 20, 100, 5000};

static void check_bytes(const char *script, size_t length, const char *expected)
{
    for (size_t i = 0; i < sizeof(piece_sizes) / sizeof(piece_sizes[0]); i++) {
        struct transcript transcript = {.fail_at = NULL};
        struct error err = ERROR_INIT;
        if (!feed(&transcript, script, length, piece_sizes[i], &err)) {
            fail_msg("%s: %s", script, err.text);
        }
        assert_string_equal(text_string(&transcript.text), expected);
        text_clear(&transcript.text);
    }
}

static void check(const char *script, const char *expected)
{
    check_bytes(script, strlen(script), expected);
}

static void check_fails_bytes(const char *script, size_t length, const char *expected)
{
    for (size_t i = 0; i < sizeof(piece_sizes) / sizeof(piece_sizes[0]); i++) {
        struct transcript transcript = {.fail_at = NULL};
        struct error err = ERROR_INIT;
        if (feed(&transcript, script, length, piece_sizes[i], &err)) {
            fail_msg("no error: %s", script);
        }
        if (strcmp(err.text, expected) != 0) {
            fail_msg("%s\n  gives: %s\n  not:   %s", script, err.text, expected);
        }
        assert_int_equal(err.kind, ERROR_DAMAGED);
        text_clear(&transcript.text);
    }
}

static void check_fails(const char *script, const char *expected)
{
    check_fails_bytes(script, strlen(script), expected);
}

static void test_statements(void **state)
{
    (void)state;
    check("", "");
    check("\n \t\r\n", "");
    check("-- nothing", "");
    check("/* nothing */", "");
    check(";;\n ;", "");
    check("SELECT 1;", "1||SELECT 1;\n");
    check("SELECT 1;SELECT\n2 ; \n\nSELECT 3;\n", "1||SELECT 1;\n1||SELECT\n2 ;\n4||SELECT 3;\n");
    check("-- a ; b\n/* ; */ SELECT /* ; */ 1 -- ;\n;", "2||SELECT /* ; */ 1 -- ;\n;\n");
    check("SELECT 1 -/* ; */ 2 *--;\n3;", "1||SELECT 1 -/* ; */ 2 *--;\n3;\n");
    check("SELECT 1 - 2 / 3;", "1||SELECT 1 - 2 / 3;\n");
    check("SELECT (1;2);", "1||SELECT (1;2);\n");
    check("CREATE RULE r AS ON INSERT TO t DO ALSO ( SELECT 1;\n SELECT (2);\n);\nSELECT 3;",
          "1||CREATE RULE r AS ON INSERT TO t DO ALSO ( SELECT 1;\n SELECT (2);\n);\n"
          "4||SELECT 3;\n");
    check("SELECT 1);SELECT 2;", "1||SELECT 1);\n1||SELECT 2;\n");
    check("\xc3\xa4$$;SELECT $$;$$;", "1||\xc3\xa4$$;\n1||SELECT $$;$$;\n");
}

static void test_comments(void **state)
{
    (void)state;
    check("/* /* ; */ ; */ SELECT 1;", "1||SELECT 1;\n");
    check("/*/ ; */ SELECT 1;", "1||SELECT 1;\n");
    check("/**/SELECT 1;/***/SELECT 2;/*/**/*/SELECT 3;//**/4;",
          "1||SELECT 1;\n1||SELECT 2;\n1||SELECT 3;\n1||//**/4;\n");
    check("/* ' \" $$ -- */ SELECT 1; -- ' /* \" $$\nSELECT 2;", "1||SELECT 1;\n2||SELECT 2;\n");
    check("--\r;SELECT 1;", "1||SELECT 1;\n");
}

static void test_strings(void **state)
{
    (void)state;
    check("SELECT ';', 'a'';', '\\', '';", "1||SELECT ';', 'a'';', '\\', '';\n");
    check("SELECT 'a\n;\n';\nSELECT 2;", "1||SELECT 'a\n;\n';\n4||SELECT 2;\n");
    check("SELECT E'\\';', e'\\\\', E'''\\\\';", "1||SELECT E'\\';', e'\\\\', E'''\\\\';\n");
    check("SELECT E'a'\n'\\';';", "1||SELECT E'a'\n'\\';';\n");
    check("SELECT E'a' -- '\n  '\\';' 'b\\';", "1||SELECT E'a' -- '\n  '\\';' 'b\\';\n");
    check("SELECT E'a' '\\';SELECT 'b';", "1||SELECT E'a' '\\';\n1||SELECT 'b';\n");
    check("SELECT E'a'\n/**/'\\';SELECT 2;", "1||SELECT E'a'\n/**/'\\';\n2||SELECT 2;\n");
    check("SELECT 'a'\n'\\';SELECT 2;", "1||SELECT 'a'\n'\\';\n2||SELECT 2;\n");
    check("SELECT nameE'\\';SELECT 2;", "1||SELECT nameE'\\';\n1||SELECT 2;\n");
    check("SELECT U&'\\', u&'a'';', U & '\\';", "1||SELECT U&'\\', u&'a'';', U & '\\';\n");
    check("SELECT B'1;', X'\\', N';';", "1||SELECT B'1;', X'\\', N';';\n");
    check("SELECT '--', '/*', '$$';", "1||SELECT '--', '/*', '$$';\n");
}

static void test_names(void **state)
{
    (void)state;
    check("CREATE TABLE \"a;\"\"b\n\\! touch x\n--'\" (\";\" integer);",
          "1||CREATE TABLE \"a;\"\"b\n\\! touch x\n--'\" (\";\" integer);\n");
    check("SELECT U&\"\\\", \"\\\", \"(\";", "1||SELECT U&\"\\\", \"\\\", \"(\";\n");
    check("SELECT a$$b, a$t$;SELECT 2;", "1||SELECT a$$b, a$t$;\n1||SELECT 2;\n");
}

static void test_dollar_quotes(void **state)
{
    (void)state;
    check("SELECT $$;'\"--/*$$;", "1||SELECT $$;'\"--/*$$;\n");
    check("SELECT $a$ $$ ; $b$ $A$ $ $a $a$;", "1||SELECT $a$ $$ ; $b$ $A$ $ $a $a$;\n");
    check("SELECT $a$$b$a$;", "1||SELECT $a$$b$a$;\n");
    check("SELECT $a$b$a$a$;SELECT '$a$;';", "1||SELECT $a$b$a$a$;\n1||SELECT '$a$;';\n");
    check("SELECT $_1\xc3\xa4$;$_1\xc3\xa4$;", "1||SELECT $_1\xc3\xa4$;$_1\xc3\xa4$;\n");
    check("SELECT $1;SELECT $1$a$;$a$;", "1||SELECT $1;\n1||SELECT $1$a$;$a$;\n");
    check("SELECT $ a$;SELECT $a b$;", "1||SELECT $ a$;\n1||SELECT $a b$;\n");
    check("SELECT $$$a$$;", "1||SELECT $$$a$$;\n");
    check("DO $do$ BEGIN; \\! x\nCOPY t FROM stdin;\n END $do$;",
          "1||DO $do$ BEGIN; \\! x\nCOPY t FROM stdin;\n END $do$;\n");
}

static void test_bodies(void **state)
{
    static const char *const whole[] = {
        "CREATE FUNCTION f() RETURNS integer\n BEGIN ATOMIC\n SELECT 1;\n SELECT 2;\nEND;",
        "create or replace procedure p() begin atomic select 1; end;",
        "CREATE /**/ OR REPLACE FUNCTION f() BEGIN /* ; */ ATOMIC SELECT 1; END;",
        "CREATE FUNCTION f(a integer) RETURNS text BEGIN ATOMIC SELECT CASE WHEN (a > 1) THEN "
        "CASE a WHEN 2 THEN 'x'::text END ELSE 'END'::text END AS c; SELECT 1; END;",
        "CREATE FUNCTION f() BEGIN ATOMIC SELECT (CASE WHEN true THEN 1 END); SELECT 1; END;",
        "CREATE FUNCTION f() BEGIN ATOMIC END;",
        "CREATE FUNCTION f() BEGIN ATOMIC SELECT begin, t.\"end\", \"case\" FROM t; SELECT 1; END;",
        "CREATE FUNCTION public.begin(begin integer) RETURNS begin AS $$ END; $$ LANGUAGE sql;",
        "CREATE FUNCTION f() RETURNS begin BEGIN ATOMIC SELECT 1; END COST 10;",
        "CREATE FUNCTION f(a text DEFAULT ';') RETURN a;",
        "CREATE TABLE begin (atomic integer);",
        "CREATE VIEW v AS SELECT begin atomic;",
        "CREATE TRIGGER t BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION begin();",
        "BEGIN;",
        "END;",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
        struct text script = TEXT_INIT(4096);
        struct text expected = TEXT_INIT(4096);
        text_appendf(&script, "%s SELECT 'next';", whole[i]);
        int line = 1;
        for (const char *c = whole[i]; (c = strchr(c, '\n')) != NULL; c++) {
            line++;
        }
        text_appendf(&expected, "1||%s\n%d||SELECT 'next';\n", whole[i], line);
        check(text_string(&script), text_string(&expected));
        text_clear(&script);
        text_clear(&expected);
    }
}

static void test_entries(void **state)
{
    (void)state;
    check("--\n-- Name: t; Type: TABLE; Schema: public; Owner: bob\n--\n\nCREATE TABLE t ();\n"
          "ALTER TABLE t OWNER TO bob;\n--\n-- Data for public.t; Type: TABLE DATA\n--\nSELECT 1;"
          "/* -- Name: x */ SELECT /*\n-- Name: y; Type: A\n*/ 2;\n"
          "SELECT $$\n-- Name: z; Type: B\n$$;SELECT 3;",
          "5|-- Name: t; Type: TABLE; Schema: public; Owner: bob|CREATE TABLE t ();\n"
          "6|-- Name: t; Type: TABLE; Schema: public; Owner: bob|ALTER TABLE t OWNER TO bob;\n"
          "10|-- Data for public.t; Type: TABLE DATA|SELECT 1;\n"
          "10|-- Data for public.t; Type: TABLE DATA|SELECT /*\n-- Name: y; Type: A\n*/ 2;\n"
          "13|-- Data for public.t; Type: TABLE DATA|SELECT $$\n-- Name: z; Type: B\n$$;\n"
          "15|-- Data for public.t; Type: TABLE DATA|SELECT 3;\n");
}

static void test_rows(void **state)
{
    (void)state;
    check("COPY t FROM stdin;\n\\.\n", "1||COPY t FROM stdin;\nrows<>\n");
    check("COPY public.t (a, \"b;(\") FROM stdin;\n1\t2\n\\N\t\\N\n\\.\n\n\nSELECT 1;",
          "1||COPY public.t (a, \"b;(\") FROM stdin;\nrows<1\t2\n\\N\t\\N\n>\n7||SELECT 1;\n");
    check("copy \"S\".\"t\" ( a )\nfrom STDIN ;  \r\nx\n\\.\ncopy u () from stdin;\n\\.\n",
          "1||copy \"S\".\"t\" ( a )\nfrom STDIN ;\nrows<x\n>\n"
          "5||copy u () from stdin;\nrows<>\n");
    check("COPY t FROM stdin;\n\\\\.\n\\.x\nx\\.\n\\\\\n\\\n.\n\\..\n\n\\\\.\n \\.\n\\.\nSELECT 1;",
          "1||COPY t FROM stdin;\nrows<\\\\.\n\\.x\nx\\.\n\\\\\n\\\n.\n\\..\n\n\\\\.\n \\.\n>\n"
          "13||SELECT 1;\n");
    check("COPY t FROM stdin;\n\\! touch x\n--\n';\n\\.\n\\restrict a\n\\unrestrict a\n",
          "1||COPY t FROM stdin;\nrows<\\! touch x\n--\n';\n>\n");
}

/* The mark at every place of a piece, near and far from the beginning of words. */
static void test_the_end_of_rows_anywhere(void **state)
{
    (void)state;
    for (size_t before = 0; before < 40; before++) {
        struct text script = TEXT_INIT(4096);
        struct text expected = TEXT_INIT(4096);
        text_append(&script, "COPY t FROM stdin;\n");
        text_append(&expected, "1||COPY t FROM stdin;\nrows<");
        for (size_t i = 0; i < before; i++) {
            const char *piece = i + 1 == before ? "\n" : i % 5 == 3 ? "\\" : i % 7 == 4 ? "." : "a";
            text_append(&script, piece);
            text_append(&expected, piece);
        }
        text_append(&script, "\\.\nSELECT 1;-- this is longer than eight bytes\n");
        text_append(&expected, before == 0 ? ">\n3||SELECT 1;\n" : ">\n4||SELECT 1;\n");
        check(text_string(&script), text_string(&expected));
        text_clear(&script);
        text_clear(&expected);
    }
}

/* Random rows of the few bytes that matter, against the plain definition of the last line. */
static void test_random_rows(void **state)
{
    static const char letters[] = "\\\\..\n\nab";
    uint32_t random = 1;

    (void)state;
    for (int round = 0; round < 3000; round++) {
        char data[64];
        size_t size = next_random(&random) % sizeof(data);
        struct copy_end end = {.in_line = false};
        struct copy_rows rows = {.is_ended = false};
        char found[64];
        size_t found_size = 0;
        size_t at = 0;
        uint64_t breaks = 0;
        for (size_t i = 0; i < size; i++) {
            data[i] = letters[next_random(&random) % (sizeof(letters) - 1)];
        }
        while (at < size && !rows.is_ended) {
            size_t piece = next_random(&random) % (size - at) + 1;
            copy_end_read(&end, data + at, piece, &rows);
            assert_true(rows.used <= piece && (rows.is_ended || rows.used == piece));
            memcpy(found + found_size, rows.held == NULL ? "" : rows.held, rows.held_size);
            found_size += rows.held_size;
            memcpy(found + found_size, rows.rows, rows.size);
            found_size += rows.size;
            at += rows.used;
        }
        size_t last = 0;
        while (last + 3 <= size &&
               !(memcmp(data + last, "\\.\n", 3) == 0 && (last == 0 || data[last - 1] == '\n'))) {
            last++;
        }
        bool is_ended = last + 3 <= size;
        assert_int_equal(rows.is_ended, is_ended);
        for (size_t i = 0; i < at; i++) {
            breaks += data[i] == '\n' ? 1 : 0;
        }
        assert_int_equal(end.breaks, breaks);
        assert_int_equal(found_size + end.held, is_ended ? last : size);
        assert_memory_equal(found, data, found_size);
    }
}

static void test_psql_commands(void **state)
{
    (void)state;
    check("\\restrict k3y\n\nSELECT 1;\n\\unrestrict k3y\n", "3||SELECT 1;\n");
    check("\\restrict k\n\\unrestrict k \r\n\\restrict l\n\\unrestrict l", "");
    check("\\unrestrict k\n", "");
    check("\\restrict k\nSELECT 1;", "2||SELECT 1;\n");
    check_fails("\\restrict k\nSELECT 1;\n\\unrestrict K\n",
                "line 3: the script's \\unrestrict has another key than its \\restrict");
    check_fails("\\restrict k\n\\restrict k\n",
                "line 2: the script has a second \\restrict before an \\unrestrict");
    static const struct {
        const char *script;
        const char *line;
        const char *shown;
    } refused[] = {
        {"\\! touch /tmp/x\n", "1", "\\!"},
        {"SELECT 1;\n\n\\connect - - evil\n", "3", "\\connect"},
        {"SELECT 1; \\copy t from x\n", "1", "\\copy"},
        {"SELECT 1\n\\gexec\n", "2", "\\gexec"},
        {"SELECT 1 \\; SELECT 2;", "1", "\\;"},
        {"/* */ \\i /etc/passwd\n", "1", "\\i"},
        {"\\restrict\n", "1", "\\restrict"},
        {"\\restrict a b\n", "1", "\\restrict"},
        {"\\restrict a \\! touch x\n", "1", "\\restrict"},
        {"\\restrict a\\!\n", "1", "\\restrict"},
        {"\\restrictx a\n", "1", "\\restrictx"},
        {"\\unrestrict `touch x`\n", "1", "\\unrestrict"},
        {"\\.\n", "1", "\\."},
        {"COPY t FROM stdin;\n\\.\n\\.\n", "3", "\\."},
        {"\\\xff\n", "1", "\\"},
        {"CREATE FUNCTION f() BEGIN ATOMIC\n\\! x\nEND;", "2", "\\!"},
        {"SELECT (\\x", "1", "\\x"},
        {"\\aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", "1",
         "\\aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        char expected[256];
        snprintf(expected, sizeof(expected),
                 "line %s: the script has the psql command %s, which restore does not run",
                 refused[i].line, refused[i].shown);
        check_fails(refused[i].script, expected);
    }
}

static void test_refused_statements(void **state)
{
    static const char *const copies[] = {
        "COPY t FROM PROGRAM 'id';",
        "COPY t FROM '/etc/passwd';",
        "COPY t TO stdout;",
        "COPY t TO '/tmp/x';",
        "COPY t TO PROGRAM 'id';",
        "copy (SELECT 1) TO PROGRAM 'id';",
        "COPY t FROM stdin WITH (FORMAT binary);",
        "COPY t FROM stdin CSV;",
        "COPY BINARY t FROM stdin;",
        "COPY t FROM \"stdin\";",
        "COPY t \"from\" stdin;",
        "COPY t (a FROM stdin);",
        "COPY t (a) (b) FROM stdin;",
        "COPY t FROM 'stdin';",
        "COPY a.b.c FROM stdin;",
        "COPY ;",
        "COPY/**/t/**/FROM/**/PROGRAM/**/$$id$$;",
    };
    static const char *const off[] = {
        "SET standard_conforming_strings = off;",
        "set standard_conforming_strings to 'off';",
        "SET SESSION standard_conforming_strings = 0;",
        "SET LOCAL Standard_Conforming_Strings TO DEFAULT;",
    };
    static const char *const encodings[] = {"'SJIS'", "big5", "'gb18030'", "'Shift_JIS_2004'"};

    (void)state;
    for (size_t i = 0; i < sizeof(copies) / sizeof(copies[0]); i++) {
        check_fails(copies[i], "line 1: COPY in a form that dumps do not have; restore runs only "
                               "COPY TABLE (COLUMNS) FROM stdin");
    }
    for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++) {
        check_fails(off[i], "line 1: standard_conforming_strings is not set to on; restore cannot "
                            "read such a script");
    }
    for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++) {
        char script[128];
        struct transcript transcript = {.fail_at = NULL};
        struct error err = ERROR_INIT;
        snprintf(script, sizeof(script), "SET client_encoding = %s;", encodings[i]);
        assert_false(feed(&transcript, script, strlen(script), 0, &err));
        assert_non_null(strstr(err.text, "line 1: client_encoding is set to "));
        text_clear(&transcript.text);
    }
    check("SET standard_conforming_strings = on;SET client_encoding = 'UTF8';"
          "SELECT 'COPY t FROM PROGRAM';SET x = off;",
          "1||SET standard_conforming_strings = on;\n1||SET client_encoding = 'UTF8';\n"
          "1||SELECT 'COPY t FROM PROGRAM';\n1||SET x = off;\n");
    check_fails("COPY t FROM stdin; SELECT 1;\n",
                "line 1: something follows COPY ... FROM stdin in the same line");
}

static void test_ends(void **state)
{
    (void)state;
    check_fails("SELECT 1;\nSELECT\n 2\n",
                "the script ends in the middle of a statement, which begins in line 2");
    check_fails("\nSELECT\n 'a\n",
                "the script ends in the middle of a string, which begins in line 3");
    check_fails("SELECT 1;\n\n/* a\nb\n",
                "the script ends in the middle of a comment, which begins in line 3");
    check_fails("SELECT\n\"a;\n",
                "the script ends in the middle of a quoted name, which begins in line 2");
    check_fails("SELECT $a$\n$a;\n",
                "the script ends in the middle of a string, which begins in line 1");
    check_fails("SELECT E'\\';\n",
                "the script ends in the middle of a string, which begins in line 1");
    check_fails("CREATE FUNCTION f() BEGIN ATOMIC SELECT 1;\n",
                "the script ends in the middle of a statement, which begins in line 1");
    static const char *const rows[] = {"",         "\n",         "\nx\n",        "\n\\",
                                       "\n\\.",    "\nx\n\\.",   "\nx\\.\n",     "\n\\.x\n",
                                       "\n1\n2\n", "\n\\N\n\\.", "\n\\\\.\n\\\n"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char script[128];
        snprintf(script, sizeof(script), "SELECT\n1;\n COPY t FROM stdin;%s", rows[i]);
        check_fails(script, "the script ends in the middle of the rows of the COPY in line 3");
    }
    check_fails_bytes("SELECT 1;\nSELECT \0 2;", 20, "line 2: the script has a zero byte");
    check_fails_bytes("-- \0\n", 5, "line 1: the script has a zero byte");
}

static void test_a_failing_sink(void **state)
{
    struct transcript transcript = {.fail_at = "SELECT 2"};
    struct error err = ERROR_INIT;
    const char *script = "SELECT 1;SELECT 2;SELECT 3;";

    (void)state;
    assert_false(feed(&transcript, script, strlen(script), 0, &err));
    assert_string_equal(err.text, "the sink is full");
    assert_string_equal(text_string(&transcript.text), "1||SELECT 1;\n");
    text_clear(&transcript.text);
}

/* One that is as long as is allowed, and one that is longer. */
static void test_long_statements(void **state)
{
    const char *beginnings[] = {"SELECT '", "/*", "SELECT $a$", "SELECT \""};

    (void)state;
    for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++) {
        size_t size = SQL_STATEMENT_MOST + 65536 * 2;
        struct transcript transcript = {.fail_at = NULL};
        struct error err = ERROR_INIT;
        char *script = malloc(size);
        assert_non_null(script);
        memset(script, 'x', size);
        memcpy(script, beginnings[i], strlen(beginnings[i]));
        assert_false(feed(&transcript, script, size, 0, &err));
        assert_string_equal(err.text, "line 1: a statement or comment is longer than 64 MiB");
        text_clear(&transcript.text);
        if (i == 0) {
            memcpy(script + SQL_STATEMENT_MOST - 3, "';\n", 3);
            assert_true(feed(&transcript, script, SQL_STATEMENT_MOST, 100000, &err));
            assert_int_equal(transcript.text.length, SQL_STATEMENT_MOST + 3);
            text_clear(&transcript.text);
        }
        free(script);
    }
}

static void test_toc_entries(void **state)
{
    static const struct {
        const char *comment;
        struct toc_entry entry;
    } cases[] = {
        {"-- Name: foo bar; Type: TABLE; Schema: public; Owner: bob",
         {"foo bar", "TABLE", "public", "bob"}},
        {"-- Name: public; Type: SCHEMA; Schema: -; Owner: -", {"public", "SCHEMA", NULL, NULL}},
        {"-- Data for Name: t; Type: TABLE DATA; Schema: s; Owner: a b",
         {"t", "TABLE DATA", "s", "a b"}},
        {"-- Data for public.\"a; Owner: b\"; Type: TABLE DATA",
         {"public.\"a; Owner: b\"", "TABLE DATA", NULL, NULL}},
        {"-- Name: a; Type: VIEW; Schema: x; Owner: y; Type: TABLE; Schema: s; Owner: o",
         {"a; Type: VIEW; Schema: x; Owner: y", "TABLE", "s", "o"}},
        {"-- Name: t; Type: TABLE; Schema: s; Owner: o; Tablespace: fast",
         {"t", "TABLE", "s", "o"}},
        {"-- Name: f(integer, text); Type: FUNCTION; Schema: a; Schema: b; Owner: o",
         {"f(integer, text)", "FUNCTION", "a; Schema: b", "o"}},
        {"-- Name: ; Type: X; Schema: s; Owner: o", {"", "X", "s", "o"}},
    };
    static const char *const others[] = {"",
                                         "--",
                                         "-- Name: ",
                                         "-- Name: x; Type: ",
                                         "-- Name: x; Type: table",
                                         "Name: x; Type: A",
                                         "-- TOC entry 1 (class 2 OID 3)"};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *const *expected = (const char *const *)&cases[i].entry;
        struct toc_entry entry;
        char *comment = text_copy(cases[i].comment);
        assert_non_null(comment);
        assert_true(toc_entry_begins(comment, strlen(comment)));
        assert_true(toc_entry_parse(comment, &entry));
        const char *const found[] = {entry.name, entry.type, entry.schema, entry.owner};
        for (size_t j = 0; j < 4; j++) {
            assert_string_equal(found[j] == NULL ? "(none)" : found[j],
                                expected[j] == NULL ? "(none)" : expected[j]);
        }
        free(comment);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct toc_entry entry;
        char *comment = text_copy(others[i]);
        assert_non_null(comment);
        assert_false(toc_entry_parse(comment, &entry));
        assert_string_equal(comment, others[i]);
        free(comment);
    }
}

static void add_names(struct text *text, const char *label, const struct script_names *names)
{
    text_append(text, label);
    for (size_t i = 0; i < names->count; i++) {
        text_appendf(text, " <%s>", names->items[i]);
    }
}

static struct sql_statement statement_of(const char *text)
{
    return (struct sql_statement){
        .text = text, .length = strlen(text), .entry = "", .is_copy = false, .line = 1};
}

/* What one statement says, as "roles <a> <b> extensions tablespaces". */
static void check_facts(const char *text, const char *expected)
{
    const struct sql_statement statement = statement_of(text);
    struct script_facts facts = {.roles = {.items = NULL}};
    struct text found = TEXT_INIT(4096);
    struct error err = ERROR_INIT;

    assert_true(script_facts_add(&facts, &statement, &err));
    assert_true(script_facts_add(&facts, &statement, &err));
    add_names(&found, "roles", &facts.roles);
    add_names(&found, " extensions", &facts.extensions);
    add_names(&found, " tablespaces", &facts.tablespaces);
    if (strcmp(text_string(&found), expected) != 0) {
        fail_msg("%s\n  gives: %s\n  not:   %s", text, text_string(&found), expected);
    }
    text_clear(&found);
    script_facts_clear(&facts);
}

static void check_roles(const char *text, const char *roles)
{
    char expected[256];

    snprintf(expected, sizeof(expected), "roles%s extensions tablespaces", roles);
    check_facts(text, expected);
}

static void test_facts(void **state)
{
    (void)state;
    check_roles("SELECT 1;", "");
    check_roles("ALTER TABLE public.t OWNER TO bob;", " <bob>");
    check_roles("ALTER FUNCTION f(a integer, owner to) OWNER TO \"B\"\"o;b\";", " <B\"o;b>");
    check_roles("ALTER TABLE t ALTER COLUMN owner SET DEFAULT 'to x';", "");
    check_roles("ALTER LARGE OBJECT 12 OWNER TO Bob;", " <bob>");
    check_roles("GRANT ALL ON TABLE t TO bob;", " <bob>");
    check_roles("GRANT SELECT(\"to\",b),UPDATE(to) ON TABLE \"to\" TO zoe, \"public\", PUBLIC, "
                "GROUP amy, zoe WITH GRANT OPTION;",
                " <amy> <zoe>");
    check_roles("REVOKE USAGE ON SCHEMA public FROM PUBLIC;", "");
    check_roles("REVOKE ALL ON FUNCTION f(x integer) FROM bob CASCADE;", " <bob>");
    check_roles("ALTER DEFAULT PRIVILEGES FOR ROLE bob IN SCHEMA s GRANT SELECT ON TABLES TO amy;",
                " <amy> <bob>");
    check_roles("ALTER DEFAULT PRIVILEGES FOR ROLE bob REVOKE ALL ON FUNCTIONS FROM PUBLIC;",
                " <bob>");
    check_roles("ALTER DEFAULT PRIVILEGES REVOKE ALL ON FUNCTIONS FROM eve;", " <eve>");
    check_roles("CREATE POLICY \"to\" ON public.t AS RESTRICTIVE FOR SELECT TO bob, CURRENT_USER, "
                "\"current_user\" USING ((a TO b));",
                " <bob> <current_user>");
    check_roles("CREATE POLICY p ON t USING (true);", "");
    check_roles("CREATE USER MAPPING FOR bob SERVER s OPTIONS (\n    \"user\" 'x'\n);", " <bob>");
    check_roles("CREATE USER MAPPING FOR PUBLIC SERVER s;", "");
    check_roles("SET SESSION AUTHORIZATION 'b''ob';", " <b'ob>");
    check_roles("SET SESSION AUTHORIZATION DEFAULT;", "");
    check_roles("RESET SESSION AUTHORIZATION;", "");
    check_facts("CREATE EXTENSION IF NOT EXISTS \"uuid-ossp\" WITH SCHEMA public;",
                "roles extensions <uuid-ossp> tablespaces");
    check_facts("CREATE EXTENSION citext;", "roles extensions <citext> tablespaces");
    check_facts("SET default_tablespace = '';", "roles extensions tablespaces");
    check_facts("SET default_tablespace = \"Fast\";", "roles extensions tablespaces <Fast>");
    check_facts("SET default_tablespace = fast;", "roles extensions tablespaces <fast>");
}

static void test_the_number_of_facts_is_bounded(void **state)
{
    struct script_facts facts = {.roles = {.items = NULL}};
    struct error err = ERROR_INIT;
    bool ok = true;
    size_t count = 0;

    (void)state;
    while (ok && count <= SCRIPT_FACTS_MOST) {
        char text[64];
        snprintf(text, sizeof(text), "ALTER TABLE t OWNER TO r%07zu;", count * 7 % 1000003);
        const struct sql_statement statement = statement_of(text);
        ok = script_facts_add(&facts, &statement, &err);
        count += ok ? 1 : 0;
    }
    assert_int_equal(count, SCRIPT_FACTS_MOST);
    assert_non_null(strstr(err.text, "names more than 50000 roles"));
    for (size_t i = 1; i < facts.roles.count; i++) {
        assert_true(strcmp(facts.roles.items[i - 1], facts.roles.items[i]) < 0);
    }
    script_facts_clear(&facts);
}

static void test_classes(void **state)
{
    static const struct {
        const char *text;
        bool is_ownership;
        bool is_privilege;
    } cases[] = {
        {"ALTER TABLE public.t OWNER TO bob;", true, false},
        {"alter schema \"owner\" owner to CURRENT_USER;", true, false},
        {"ALTER TABLE t ADD CONSTRAINT owner CHECK (owner to x);", false, false},
        {"ALTER TABLE ONLY t ALTER COLUMN owner SET NOT NULL;", false, false},
        {"SET SESSION AUTHORIZATION bob;", true, false},
        {"RESET SESSION AUTHORIZATION;", true, false},
        {"SET session_replication_role = replica;", false, false},
        {"GRANT SELECT ON TABLE t TO bob;", false, true},
        {"REVOKE ALL ON SCHEMA s FROM PUBLIC;", false, true},
        {"ALTER DEFAULT PRIVILEGES FOR ROLE a GRANT ALL ON TABLES TO b;", false, true},
        {"CREATE TABLE \"grant\" ();", false, false},
        {"SELECT 'GRANT';", false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct sql_statement statement = statement_of(cases[i].text);
        assert_int_equal(script_facts_is_ownership(&statement), cases[i].is_ownership);
        assert_int_equal(script_facts_is_privilege(&statement), cases[i].is_privilege);
    }
}

static struct work_order *order_of(const struct segment *segments, size_t count,
                                   const struct work_build *builds, size_t build_count)
{
    struct error err = ERROR_INIT;
    struct work_order *order = work_order_new(segments, count, 4, 2, &err);

    assert_non_null(order);
    assert_true(work_order_add_builds(order, builds, build_count, &err));
    return order;
}

static void add_turn(struct text *text, const struct work_turn *turn)
{
    const struct segment *segment = turn->segment;

    if (segment == NULL) {
        text_appendf(text, " #%zu", turn->build);
    } else if (segment->kind != SEGMENT_TABLE) {
        text_appendf(text, " %s", segment_kind_name(segment->kind));
    } else {
        text_appendf(text, " %s%zu.%" PRIu64 "%s%s", turn->is_first ? "^" : "", segment->table,
                     segment->from_page, turn->is_last ? "$" : "", turn->alone ? "!" : "");
    }
}

/* Table and page of what each of these workers is given, in turn: "^" the first of its table, "$"
 * the last, "!" of one that is filled by one worker alone; "+": it shares the table then. "#": a
 * build. A worker in lower case ("a" for 0) fills in rows of other tables, too. */
static void check_turns(struct work_order *order, const char *turns, const char *expected)
{
    struct text found = TEXT_INIT(1024);

    for (const char *at = turns; *at != '\0'; at++) {
        size_t worker = (size_t)(*at >= 'a' ? *at - 'a' : *at - '0');
        struct work_turn turn;
        if (!work_order_take(order, worker, &turn)) {
            text_append(&found, " -");
            continue;
        }
        add_turn(&found, &turn);
        if (*at >= 'a') {
            work_order_note_others(order, worker);
        }
        if (turn.segment != NULL && work_order_is_to_share(order, worker)) {
            work_order_share(order, worker);
            text_append(&found, "+");
        }
    }
    assert_string_equal(text_string(&found), expected);
    text_clear(&found);
    work_order_free(order);
}

static void check_order(const struct segment *segments, size_t count, const char *turns,
                        const char *expected)
{
    check_turns(order_of(segments, count, NULL, 0), turns, expected);
}

static const struct segment one_longer[] = {
    {.kind = SEGMENT_TABLE, .table = 1, .from_page = 0, .raw_length = 10},
    /* So short that nobody is expected to wait for it. */
    {.kind = SEGMENT_TABLE, .table = 1, .from_page = 1, .raw_length = 0},
    {.kind = SEGMENT_TABLE, .table = 1, .from_page = 2, .raw_length = 10},
    {.kind = SEGMENT_TABLE, .table = 1, .from_page = 3, .raw_length = 10},
    {.kind = SEGMENT_TABLE, .table = 2, .from_page = 0, .raw_length = 20},
};
#define ONE_LONGER (sizeof(one_longer) / sizeof(one_longer[0]))

static void test_the_order_of_segments(void **state)
{
    static const struct segment segments[] = {
        {.kind = SEGMENT_TABLE, .table = 0, .raw_length = 1},
        {.kind = SEGMENT_TABLE, .table = 1, .from_page = 0, .raw_length = 10},
        {.kind = SEGMENT_TABLE, .table = 1, .from_page = 5, .raw_length = 10},
        {.kind = SEGMENT_TABLE, .table = 2, .from_page = 0, .raw_length = 10},
        {.kind = SEGMENT_TABLE, .table = 2, .from_page = 5, .raw_length = 10},
        {.kind = SEGMENT_TABLE, .table = 2, .from_page = 9, .raw_length = 10},
        {.kind = SEGMENT_SEQUENCES, .table = SEGMENT_NO_TABLE, .raw_length = 5},
        {.kind = SEGMENT_LARGE_OBJECTS, .table = SEGMENT_NO_TABLE, .raw_length = 0},
    };
    size_t count = sizeof(segments) / sizeof(segments[0]);

    (void)state;
    check_order(segments, 0, "01", " - -");
    /* Each stays with its table, however fast the other is. */
    check_order(segments, count, "0101010101",
                " ^2.0! ^1.0! 2.5! 1.5$! 2.9$! sequences ^0.0$! large-objects - -");
    check_order(segments, count, "01111011101",
                " ^2.0! ^1.0! 1.5$! sequences ^0.0$! 2.5! large-objects - - 2.9$! -");
    check_order(segments + 1, 5, "0110100", " ^2.0! ^1.0! 1.5$! 2.5! - 2.9$! -");
    /* With too little else to do they share it: from the beginning, or before others would wait. */
    check_order(segments + 3, 3, "0101", " ^2.0 2.5 2.9$ -");
    check_order(one_longer, ONE_LONGER, "0100101", " ^1.0! ^2.0$! 1.1!+ 1.2 1.3$ - -");
}

static void check_builds(const struct segment *segments, size_t count,
                         const struct work_build *builds, size_t build_count, const char *turns,
                         const char *expected)
{
    check_turns(order_of(segments, count, builds, build_count), turns, expected);
}

static const struct segment with_builds[] = {
    {.kind = SEGMENT_TABLE, .table = 0, .from_page = 0, .raw_length = 10},
    {.kind = SEGMENT_TABLE, .table = 0, .from_page = 1, .raw_length = 10},
    {.kind = SEGMENT_TABLE, .table = 1, .raw_length = 15, .rows = 1},
    {.kind = SEGMENT_TABLE, .table = 2, .raw_length = 9, .rows = 2},
    {.kind = SEGMENT_TABLE, .table = 3, .raw_length = 8, .rows = 1},
};
#define WITH_BUILDS (sizeof(with_builds) / sizeof(with_builds[0]))
static const struct work_build builds[] = {
    {.table = SEGMENT_NO_TABLE, .is_exclusive = true},
    {.table = 1},
    {.table = 1},
    {.table = 2, .is_exclusive = true},
    {.table = 2},
    {.table = 9},
    {.table = 2, .needs_all_rows = true},
};
#define BUILDS (sizeof(builds) / sizeof(builds[0]))

static void test_builds_among_the_segments(void **state)
{
    static const struct work_build two_tables[] = {{.table = 1}, {.table = 2}, {.table = 1}};

    (void)state;
    /* After the rows of its table, and before those of others; without one, after all rows. */
    check_builds(with_builds, WITH_BUILDS, builds, BUILDS, "00000000000000",
                 " ^0.0! 0.1$! ^1.0$! #1 #2 ^2.0$! #3 #4 ^3.0$ #6 #0 #5 - -");
    /* Nothing else is built on a table meanwhile. */
    check_builds(with_builds, WITH_BUILDS, builds, BUILDS, "011100101101",
                 " ^0.0! ^1.0$! #1 #2 0.1$! ^2.0$! ^3.0$ #3 #0 #5 #4 #6");
    check_builds(with_builds, 0, builds, BUILDS, "010101010", " #0 #1 #2 #3 #4 #5 #6 - -");
    /* The longest first; and none before the last row, when rows go into other tables, too. */
    check_builds(with_builds + 2, 2, two_tables, 3, "a00000", " ^1.0$! ^2.0$ #1 #0 #2 -");
}

struct helper {
    struct work_order *order;
    bool found;
    struct work_turn turn;
};

static void *help(void *context)
{
    struct helper *helper = context;

    helper->found = work_order_take(helper->order, 1, &helper->turn);
    return NULL;
}

/* Until another worker waits for the table of the first, which it has begun alone. */
static void await_helper(struct helper *helper, pthread_t *thread)
{
    struct error err = ERROR_INIT;
    struct work_turn turn;
    int waits = 10000;

    helper->order = work_order_new(one_longer, ONE_LONGER, 4, 2, &err);
    assert_non_null(helper->order);
    assert_true(work_order_take(helper->order, 0, &turn));
    assert_true(turn.alone);
    assert_true(work_order_take(helper->order, 1, &turn));
    assert_int_equal(turn.segment->table, 2);
    assert_false(work_order_is_to_share(helper->order, 0));
    assert_int_equal(pthread_create(thread, NULL, help, helper), 0);
    while (!work_order_is_to_share(helper->order, 0) && waits-- > 0) {
        usleep(1000);
    }
    assert_true(work_order_is_to_share(helper->order, 0));
}

static void test_what_one_has_begun_alone_is_shared_when_it_says_so(void **state)
{
    struct helper helper = {.found = false};
    struct work_turn turn;
    pthread_t thread;

    (void)state;
    await_helper(&helper, &thread);
    /* One more, between two questions. */
    assert_true(work_order_take(helper.order, 0, &turn));
    assert_true(turn.alone);
    work_order_share(helper.order, 0);
    assert_false(work_order_is_to_share(helper.order, 0));
    pthread_join(thread, NULL);
    assert_true(helper.found);
    assert_int_equal(helper.turn.segment->from_page, 2);
    assert_false(helper.turn.alone);
    assert_true(work_order_take(helper.order, 0, &turn));
    assert_int_equal(turn.segment->from_page, 3);
    assert_false(turn.alone);
    assert_true(turn.is_last);
    assert_false(work_order_take(helper.order, 1, &turn));
    work_order_free(helper.order);
}

/* Worker 1 has nothing to do before the rows of worker 0 are there. */
static void await_rows(struct helper *helper, pthread_t *thread)
{
    static const struct segment rows[] = {
        {.kind = SEGMENT_TABLE, .table = 0, .raw_length = 2},
        {.kind = SEGMENT_TABLE, .table = 1, .raw_length = 1},
    };
    static const struct work_build build = {.table = 0};
    struct work_turn turn;

    helper->order = order_of(rows, 2, &build, 1);
    assert_true(work_order_take(helper->order, 0, &turn));
    assert_true(work_order_take(helper->order, 1, &turn));
    assert_int_equal(pthread_create(thread, NULL, help, helper), 0);
    usleep(10000);
}

static void test_who_waits_for_an_index_is_woken(void **state)
{
    struct helper helper = {.found = false};
    struct work_turn turn;
    pthread_t thread;

    (void)state;
    /* Whoever asks first is given it; the other one has nothing left. */
    await_rows(&helper, &thread);
    bool found = work_order_take(helper.order, 0, &turn);
    pthread_join(thread, NULL);
    assert_true(found != helper.found);
    assert_null(found ? turn.segment : helper.turn.segment);
    work_order_free(helper.order);

    helper.found = true;
    await_rows(&helper, &thread);
    work_order_stop(helper.order);
    pthread_join(thread, NULL);
    assert_false(helper.found);
    work_order_free(helper.order);
}

static void test_nobody_waits_for_one_that_failed(void **state)
{
    struct helper helper = {.found = true};
    struct work_turn turn;
    pthread_t thread;

    (void)state;
    await_helper(&helper, &thread);
    work_order_stop(helper.order);
    pthread_join(thread, NULL);
    assert_false(helper.found);
    assert_false(work_order_take(helper.order, 0, &turn));
    work_order_free(helper.order);
}

static void check_copy(const char *statement, const char *again, const char *query)
{
    struct copy_statement copy;
    struct text text = TEXT_INIT(1000);

    assert_true(copy_statement_read(statement, strlen(statement), &copy));
    copy_statement_append(&copy, "", &text);
    assert_string_equal(text_string(&text), again);
    text_clear(&text);
    if (query != NULL) {
        copy_statement_append_query(&copy, &text);
        assert_string_equal(text_string(&text), query);
        text_clear(&text);
    } else {
        assert_null(copy.columns);
    }
}

static void test_copy_statements(void **state)
{
    static const char *const others[] = {
        "COPY a.b FROM stdin WITH (FORMAT binary);",
        "COPY a.b (c) FROM '/etc/passwd';",
        "COPY a.b (c) FROM PROGRAM 'true';",
        "COPY a.b (c) TO stdout;",
        "COPY (SELECT 1) TO stdout;",
        "COPY a.b.c (d) FROM stdin;",
        "COPY a.b (c FROM stdin;",
        "COPY a.b (c) FROM stdin",
        "COPYa.b (c) FROM stdin;",
        "SELECT 1;",
        "",
    };
    struct copy_statement copy;
    struct text text = TEXT_INIT(1000);
    static const char plain[] = "COPY a.b (c) FROM stdin;";

    (void)state;
    check_copy("COPY public.t (a, \"b\") FROM stdin;", "COPY public.t (a, \"b\") FROM stdin",
               "SELECT a, \"b\" FROM public.t");
    check_copy("copy\nt\n(a)from STDIN ;", "COPY t (a) FROM stdin", "SELECT a FROM t");
    check_copy("COPY public.t  FROM stdin;", "COPY public.t FROM stdin", NULL);
    check_copy("COPY \"a.b (c) FROM stdin;\".\"\"\"(\" (\"),(\", \"FROM stdin;\") FROM stdin;",
               "COPY \"a.b (c) FROM stdin;\".\"\"\"(\" (\"),(\", \"FROM stdin;\") FROM stdin",
               "SELECT \"),(\", \"FROM stdin;\" FROM \"a.b (c) FROM stdin;\".\"\"\"(\"");
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_false(copy_statement_read(others[i], strlen(others[i]), &copy));
    }
    assert_true(copy_statement_read(plain, strlen(plain), &copy));
    copy_statement_append(&copy, "FREEZE", &text);
    assert_string_equal(text_string(&text), "COPY a.b (c) FROM stdin WITH (FREEZE)");
    text_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy_statements),
        cmocka_unit_test(test_statements),
        cmocka_unit_test(test_comments),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_dollar_quotes),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_entries),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_the_end_of_rows_anywhere),
        cmocka_unit_test(test_random_rows),
        cmocka_unit_test(test_psql_commands),
        cmocka_unit_test(test_refused_statements),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_a_failing_sink),
        cmocka_unit_test(test_long_statements),
        cmocka_unit_test(test_toc_entries),
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_the_number_of_facts_is_bounded),
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_the_order_of_segments),
        cmocka_unit_test(test_builds_among_the_segments),
        cmocka_unit_test(test_what_one_has_begun_alone_is_shared_when_it_says_so),
        cmocka_unit_test(test_who_waits_for_an_index_is_woken),
        cmocka_unit_test(test_nobody_waits_for_one_that_failed),
    };

    /* A worker that nobody wakes is a failure, too. */
    alarm(600);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
