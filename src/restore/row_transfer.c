#include "restore/row_transfer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "postgres/column_types.h"
#include "restore/copy_statement.h"

static bool begin_copy(struct row_transfer *transfer, struct error *err)
{
    const struct text *sql =
        transfer->state == TRANSFER_BINARY ? &transfer->as_binary : &transfer->as_text;

    transfer->copy = (struct copy_in){.session = transfer->session, .stall_ms = transfer->stall_ms};
    return copy_in_begin(&transfer->copy, text_string(sql), err);
}

static bool begin_binary(struct row_transfer *transfer, struct error *err)
{
    return row_encoder_begin(transfer->encoder, err) && begin_copy(transfer, err);
}

/* No encoder is made where there is none for the columns. */
static bool make_encoder(struct row_transfer *transfer, const struct copy_statement *copy,
                         struct error *err)
{
    struct text query = TEXT_INIT(copy->table_length + copy->columns_length + COPY_STATEMENT_MORE);
    uint32_t *types = NULL;
    size_t count = 0;

    copy_statement_append_query(copy, &query);
    bool ok = query.failed ? error_set_memory(err)
                           : column_types_read(transfer->session, text_string(&query), &types,
                                               &count, err) &&
                                 row_encoder_new(types, count, &transfer->encoder, err);
    free(types);
    text_clear(&query);
    return ok;
}

static bool make_statements(struct row_transfer *transfer, const struct copy_statement *copy,
                            struct error *err)
{
    bool is_frozen = transfer->frozen != NULL && transfer->frozen->is_begun;
    size_t most = copy->table_length + copy->columns_length + COPY_STATEMENT_MORE;

    transfer->as_binary = (struct text)TEXT_INIT(most);
    transfer->as_text = (struct text)TEXT_INIT(most);
    copy_statement_append(copy, is_frozen ? "FORMAT binary, FREEZE" : "FORMAT binary",
                          &transfer->as_binary);
    copy_statement_append(copy, is_frozen ? "FREEZE" : "", &transfer->as_text);
    return !(transfer->as_binary.failed || transfer->as_text.failed) || error_set_memory(err);
}

bool row_transfer_begin(struct row_transfer *transfer, const char *statement, size_t length,
                        struct error *err)
{
    struct frozen_table *frozen = transfer->frozen;
    struct copy_statement copy;

    if (!copy_statement_read(statement, length, &copy)) {
        return error_set(err, ERROR_DAMAGED, "the statement before the rows is no COPY of a dump");
    }
    transfer->state = TRANSFER_ASKS;
    if (transfer->size >= ROW_TRANSFER_BINARY_LEAST && copy.columns != NULL &&
        copy_in_formats_agree(transfer->session) && !make_encoder(transfer, &copy, err)) {
        return false;
    }
    transfer->state = transfer->encoder != NULL ? TRANSFER_BINARY : TRANSFER_TEXT;
    if ((frozen != NULL &&
         !frozen_table_begin(frozen, transfer->session, copy.table, copy.table_length, err)) ||
        !make_statements(transfer, &copy, err)) {
        return false;
    }
    return transfer->encoder != NULL ? begin_binary(transfer, err) : begin_copy(transfer, err);
}

static bool send_encoded(struct row_transfer *transfer, struct error *err)
{
    size_t size;
    const void *bytes = row_encoder_take(transfer->encoder, &size);

    return copy_in_write(&transfer->copy, bytes, size, err);
}

static bool end_copy(struct row_transfer *transfer, struct error *err)
{
    int64_t rows = 0;

    if ((transfer->state == TRANSFER_BINARY &&
         (!send_encoded(transfer, err) ||
          !copy_in_write(&transfer->copy, row_encoder_end, sizeof(row_encoder_end), err))) ||
        !copy_in_end(&transfer->copy, &rows, err)) {
        return false;
    }
    transfer->rows += rows;
    return true;
}

/* From a first line the server learns how lines end. Here it is not the first one of the rows:
 * these would have been refused for what begins here to be taken. (COPY TO never writes a carriage
 * return, nor a line break within a row, also not behind a backslash.) */
static bool check_first_line(struct row_transfer *transfer, const char *rows, size_t size,
                             struct error *err)
{
    const char *end = memchr(rows, '\n', size);

    if (memchr(rows, '\r', end != NULL ? (size_t)(end - rows) : size) != NULL) {
        return error_set(err, ERROR_DAMAGED,
                         "the next row has a carriage return that is not written as \\r");
    }
    transfer->in_first_line = end == NULL;
    return true;
}

static bool write_text(struct row_transfer *transfer, const char *rows, size_t size,
                       struct error *err)
{
    return (!transfer->in_first_line || size == 0 || check_first_line(transfer, rows, size, err)) &&
           copy_in_write(&transfer->copy, rows, size, err);
}

/* From where the encoder has stopped. */
static bool go_on_as_text(struct row_transfer *transfer, struct error *err)
{
    size_t size;
    const char *rest = row_encoder_rest(transfer->encoder, &size);

    if (!end_copy(transfer, err)) {
        return false;
    }
    transfer->state = TRANSFER_TEXT;
    transfer->in_first_line = transfer->rows > 0;
    if (!begin_copy(transfer, err) || !write_text(transfer, rest, size, err)) {
        return false;
    }
    row_encoder_free(transfer->encoder);
    transfer->encoder = NULL;
    return true;
}

/* All of the rows, or those up to where the encoder stops: then the next ones are wanted as text.
 */
static bool write_encoded(struct row_transfer *transfer, const char *rows, size_t size,
                          size_t *used, struct error *err)
{
    struct row_encoder *encoder = transfer->encoder;

    *used = 0;
    while (*used < size && !row_encoder_has_stopped(encoder)) {
        size_t more;
        if (!row_encoder_read(encoder, rows + *used, size - *used, &more, err) ||
            !send_encoded(transfer, err)) {
            return false;
        }
        *used += more;
        if (row_encoder_is_full(encoder) && !row_encoder_has_stopped(encoder) &&
            !(end_copy(transfer, err) && begin_binary(transfer, err))) {
            return false;
        }
    }
    return !row_encoder_has_stopped(encoder) || go_on_as_text(transfer, err);
}

/* The server counts lines within a COPY, and this may not be the first. Returns false. */
static bool tell_rows_before(const struct row_transfer *transfer, struct error *err)
{
    return transfer->rows > 0 && error_prefix(err, "behind %" PRId64 " rows", transfer->rows);
}

bool row_transfer_write(struct row_transfer *transfer, const char *rows, size_t size,
                        struct error *err)
{
    size_t used = 0;

    return ((transfer->encoder == NULL || write_encoded(transfer, rows, size, &used, err)) &&
            write_text(transfer, rows + used, size - used, err)) ||
           tell_rows_before(transfer, err);
}

/* A last row without a line break is the server's to judge. */
static bool has_rest(const struct row_transfer *transfer)
{
    size_t size = 0;

    row_encoder_rest(transfer->encoder, &size);
    return size > 0;
}

bool row_transfer_end(struct row_transfer *transfer, int64_t *rows, struct error *err)
{
    bool has_more = transfer->encoder != NULL && has_rest(transfer);

    if ((has_more && !go_on_as_text(transfer, err)) || !end_copy(transfer, err)) {
        return tell_rows_before(transfer, err);
    }
    *rows = transfer->rows;
    return true;
}

/* Also what a server says of binary rows that are not as it wants them: "row field count is 3,
 * expected 4", "wrong element type", "timestamp out of range", "no binary input function". */
bool row_transfer_may_be_to_blame(const struct row_transfer *transfer, const char *sqlstate)
{
    static const char *const codes[] = {"22008", "22P03", "22P04", "42804", "42883"};

    for (size_t i = 0; transfer->state == TRANSFER_BINARY && i < sizeof(codes) / sizeof(codes[0]);
         i++) {
        if (strcmp(codes[i], sqlstate) == 0) {
            return true;
        }
    }
    return transfer->state == TRANSFER_ASKS;
}

void row_transfer_clear(struct row_transfer *transfer)
{
    row_encoder_free(transfer->encoder);
    transfer->encoder = NULL;
    text_clear(&transfer->as_binary);
    text_clear(&transfer->as_text);
}
