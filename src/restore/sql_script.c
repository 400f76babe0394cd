#include "restore/sql_script.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "restore/copy_end.h"
#include "restore/psql_command.h"
#include "restore/sql_lexer.h"
#include "restore/sql_policy.h"
#include "restore/statement_end.h"
#include "restore/toc_entry.h"

/* How much is taken into the buffer at a time. */
#define SLICE ((size_t)64 * 1024)
/* A function's name has its arguments; one that is longer is not shown. */
#define ENTRY_MOST ((size_t)64 * 1024)

/* What the next byte belongs to. */
enum mode {
    MODE_SQL,
    MODE_COMMAND,  /* a psql command, which is all of the line */
    MODE_COPY_END, /* the rest of the line of a COPY, which is blank */
    MODE_ROWS,
};

struct sql_script {
    struct stage stage;
    struct sql_script_sink sink;
    enum mode mode;
    char *buffer; /* what was not yet taken apart; with room for a NUL behind it */
    size_t capacity;
    struct sql_lexer lexer; /* of the buffer */
    bool in_statement;
    size_t begin;        /* of the statement */
    uint64_t begin_line; /* of the statement, and of the rows that follow it */
    struct statement_end end;
    struct text entry;
    struct psql_restriction restriction;
    struct copy_end rows;
    size_t counted; /* of the buffer: the line breaks up to here are in `line` */
    uint64_t line;
};

static uint64_t line_at(struct sql_script *self, size_t offset)
{
    const char *at = self->buffer + self->counted;
    const char *end = self->buffer + offset;

    while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        self->line++;
        at++;
    }
    self->counted = offset;
    return self->line;
}

static bool refuse_at(struct sql_script *self, size_t offset, struct error *err)
{
    return error_prefix(err, "line %" PRIu64, line_at(self, offset));
}

static bool note_comment(struct sql_script *self, const struct sql_token *token, struct error *err)
{
    if (!toc_entry_begins(token->text, token->length)) {
        return true;
    }
    text_clear(&self->entry);
    if (token->length <= ENTRY_MOST) {
        text_append_bytes(&self->entry, token->text, token->length);
    }
    return !self->entry.failed || error_set_memory(err);
}

/* The statement ends at `end`. */
static bool end_statement(struct sql_script *self, size_t end, struct error *err)
{
    struct sql_statement statement = {.text = self->buffer + self->begin,
                                      .length = end - self->begin,
                                      .entry = text_string(&self->entry),
                                      .line = self->begin_line};
    char next = self->buffer[end];

    if (!sql_policy_check(statement.text, statement.length, &statement.is_copy, err)) {
        return error_prefix(err, "line %" PRIu64, self->begin_line);
    }
    self->in_statement = false;
    self->mode = statement.is_copy ? MODE_COPY_END : MODE_SQL;
    self->buffer[end] = '\0';
    bool ok = self->sink.statement(self->sink.context, &statement, err);
    self->buffer[end] = next;
    return ok;
}

/* Of a statement, or of what stands before one. */
static bool take_token(struct sql_script *self, const struct sql_token *token, struct error *err)
{
    size_t begin = (size_t)(token->text - self->buffer);

    if (token->kind == SQL_TOKEN_SPACE) {
        return true;
    }
    if (token->kind == SQL_TOKEN_COMMENT) {
        return self->in_statement || note_comment(self, token, err);
    }
    if (!self->in_statement) {
        if (sql_token_is_symbol(token, ';')) {
            return true;
        }
        self->in_statement = true;
        self->begin = begin;
        self->begin_line = line_at(self, begin);
        self->end = (struct statement_end){.head = HEAD_NONE};
    }
    return !statement_end_add(&self->end, token) || end_statement(self, begin + token->length, err);
}

static bool read_token(struct sql_script *self, bool *needs_more, struct error *err)
{
    struct sql_token token;

    if (self->lexer.state == SQL_LEXER_BEGIN && self->lexer.start < self->lexer.length &&
        self->buffer[self->lexer.start] == '\\') {
        self->mode = MODE_COMMAND;
        return true;
    }
    if (sql_lexer_next(&self->lexer, &token) == SQL_TOKEN_MORE) {
        *needs_more = true;
        return true;
    }
    return take_token(self, &token, err);
}

/* The length of the line from here; *needs_more: its end is not there yet. */
static size_t measure_line(const struct sql_script *self, bool *needs_more)
{
    const char *line = self->buffer + self->lexer.start;
    size_t left = self->lexer.length - self->lexer.start;
    const char *end = left == 0 ? NULL : memchr(line, '\n', left);

    *needs_more = end == NULL && !self->lexer.is_whole;
    return end == NULL ? left : (size_t)(end - line);
}

static bool read_command(struct sql_script *self, bool *needs_more, struct error *err)
{
    size_t length = measure_line(self, needs_more);

    if (*needs_more) {
        return true;
    }
    const char *line = self->buffer + self->lexer.start;
    if (self->in_statement ? !psql_command_refuse(line, length, err)
                           : !psql_command_pass(&self->restriction, line, length, err)) {
        return refuse_at(self, self->lexer.start, err);
    }
    sql_lexer_skip(&self->lexer, length);
    self->mode = MODE_SQL;
    return true;
}

static bool read_copy_end(struct sql_script *self, bool *needs_more, struct error *err)
{
    size_t length = measure_line(self, needs_more);
    const char *line = self->buffer + self->lexer.start;

    if (*needs_more) {
        return true;
    }
    for (size_t i = 0; i < length; i++) {
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r') {
            error_set(err, ERROR_DAMAGED, "something follows COPY ... FROM stdin in the same line");
            return refuse_at(self, self->lexer.start, err);
        }
    }
    if (length == self->lexer.length - self->lexer.start) {
        *needs_more = true;
        return true;
    }
    sql_lexer_skip(&self->lexer, length + 1);
    line_at(self, self->lexer.start);
    self->rows = (struct copy_end){.in_line = false};
    self->mode = MODE_ROWS;
    return true;
}

static bool pass_rows(const struct sql_script_sink *sink, const char *rows, size_t size,
                      struct error *err)
{
    return size == 0 || sink->rows == NULL || sink->rows(sink->context, rows, size, err);
}

static bool read_rows(struct sql_script *self, const char *data, size_t size, size_t *used,
                      struct error *err)
{
    const struct sql_script_sink *sink = &self->sink;
    struct copy_rows rows;

    copy_end_read(&self->rows, data, size, &rows);
    *used = rows.used;
    if (!pass_rows(sink, rows.held, rows.held_size, err) ||
        !pass_rows(sink, rows.rows, rows.size, err)) {
        return false;
    }
    if (!rows.is_ended) {
        return true;
    }
    self->line += self->rows.breaks;
    self->mode = MODE_SQL;
    return sink->rows_end == NULL || sink->rows_end(sink->context, err);
}

static bool read_buffered_rows(struct sql_script *self, bool *needs_more, struct error *err)
{
    size_t left = self->lexer.length - self->lexer.start;
    size_t used;

    if (left == 0) {
        *needs_more = true;
        return true;
    }
    if (!read_rows(self, self->buffer + self->lexer.start, left, &used, err)) {
        return false;
    }
    sql_lexer_skip(&self->lexer, used);
    self->counted = self->lexer.start;
    return true;
}

/* Takes what is in the buffer apart, as far as it goes, and removes it. */
static bool read_buffer(struct sql_script *self, struct error *err)
{
    static bool (*const read[])(struct sql_script *, bool *, struct error *) = {
        [MODE_SQL] = read_token,
        [MODE_COMMAND] = read_command,
        [MODE_COPY_END] = read_copy_end,
        [MODE_ROWS] = read_buffered_rows,
    };
    bool needs_more = false;

    while (!needs_more) {
        if (!read[self->mode](self, &needs_more, err)) {
            return false;
        }
    }
    size_t done = self->in_statement ? self->begin : self->lexer.start;
    if (self->lexer.length - done > SQL_STATEMENT_MOST) {
        error_set(err, ERROR_DAMAGED, "a statement or comment is longer than %zu MiB",
                  SQL_STATEMENT_MOST / 1024 / 1024);
        return refuse_at(self, done, err);
    }
    line_at(self, done);
    if (done > 0) {
        memmove(self->buffer, self->buffer + done, self->lexer.length - done);
    }
    sql_lexer_drop(&self->lexer, done);
    self->begin = 0;
    self->counted = 0;
    return true;
}

static bool append(struct sql_script *self, const char *data, size_t size, struct error *err)
{
    size_t needed = self->lexer.length + size + 1;

    if (needed > self->capacity) {
        size_t capacity = needed < 2 * SLICE ? 2 * SLICE : needed * 2;
        char *buffer = realloc(self->buffer, capacity);
        if (buffer == NULL) {
            return error_set_memory(err);
        }
        self->buffer = buffer;
        self->capacity = capacity;
    }
    memcpy(self->buffer + self->lexer.length, data, size);
    self->lexer.text = self->buffer;
    self->lexer.length += size;
    return true;
}

/* A server would take a NUL for the end of what it was sent. */
static bool add_to_buffer(struct sql_script *self, const char *data, size_t size, struct error *err)
{
    const char *zero = memchr(data, '\0', size);

    if (!append(self, data, size, err)) {
        return false;
    }
    if (zero != NULL) {
        error_set(err, ERROR_DAMAGED, "the script has a zero byte");
        return refuse_at(self, self->lexer.length - size + (size_t)(zero - data), err);
    }
    return read_buffer(self, err);
}

static bool sql_script_write(struct stage *stage, const void *data, size_t size, struct error *err)
{
    struct sql_script *self = (struct sql_script *)stage;
    const char *at = data;
    bool ok = true;

    while (ok && size > 0) {
        size_t used = size < SLICE ? size : SLICE;
        ok = self->mode == MODE_ROWS ? read_rows(self, at, size, &used, err)
                                     : add_to_buffer(self, at, used, err);
        at += used;
        size -= used;
    }
    return ok;
}

static bool sql_script_finish(struct stage *stage, struct error *err)
{
    struct sql_script *self = (struct sql_script *)stage;

    self->lexer.is_whole = true;
    if (!read_buffer(self, err)) {
        return false;
    }
    if (self->mode == MODE_ROWS || self->mode == MODE_COPY_END) {
        return error_set(err, ERROR_DAMAGED,
                         "the script ends in the middle of the rows of the COPY in line %" PRIu64,
                         self->begin_line);
    }
    if (self->in_statement || sql_lexer_unfinished(&self->lexer) != NULL) {
        const char *what = sql_lexer_unfinished(&self->lexer);
        uint64_t line = line_at(self, self->lexer.start);
        return error_set(err, ERROR_DAMAGED,
                         "the script ends in the middle of %s, which begins in line %" PRIu64,
                         what != NULL ? what : "a statement",
                         what != NULL ? line : self->begin_line);
    }
    return true;
}

static void sql_script_free(struct stage *stage)
{
    struct sql_script *self = (struct sql_script *)stage;

    if (self->sink.release != NULL) {
        self->sink.release(self->sink.context);
    }
    text_clear(&self->entry);
    free(self->buffer);
    free(self);
}

struct stage *sql_script_stage_new(const struct sql_script_sink *sink, struct error *err)
{
    static const struct stage_ops ops = {sql_script_write, sql_script_finish, sql_script_free};
    struct sql_script *self = calloc(1, sizeof(*self));

    if (self == NULL) {
        error_set_memory(err);
        return NULL;
    }
    *self = (struct sql_script){
        .stage = {.ops = &ops}, .sink = *sink, .entry = TEXT_INIT(ENTRY_MOST), .line = 1};
    return (struct stage *)self;
}
