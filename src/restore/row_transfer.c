#include "restore/row_transfer.h"

#include <inttypes.h>
#include <stdlib.h>

#include "postgres/column_types.h"

static bool begin_copy(struct row_transfer *transfer, const char *sql, struct error *err)
{
    transfer->copy = (struct copy_in){.session = transfer->session, .stall_ms = transfer->stall_ms};
    return copy_in_begin(&transfer->copy, sql, err);
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

static bool begin_binary(struct row_transfer *transfer, const struct copy_statement *copy,
                         bool is_frozen, struct error *err)
{
    struct text sql = TEXT_INIT(transfer->as_text.cap);

    copy_statement_append(copy, is_frozen ? "FORMAT binary, FREEZE" : "FORMAT binary", &sql);
    bool ok = sql.failed ? error_set_memory(err) : begin_copy(transfer, text_string(&sql), err);
    text_clear(&sql);
    return ok;
}

bool row_transfer_begin(struct row_transfer *transfer, const char *statement, size_t length,
                        struct error *err)
{
    struct frozen_table *frozen = transfer->frozen;
    struct copy_statement copy;

    if (!copy_statement_read(statement, length, &copy)) {
        return error_set(err, ERROR_DAMAGED, "the statement before the rows is no COPY of a dump");
    }
    bool is_worth_it = transfer->size >= ROW_TRANSFER_BINARY_LEAST && copy.columns != NULL &&
                       copy_in_formats_agree(transfer->session);
    if ((is_worth_it && !make_encoder(transfer, &copy, err)) ||
        (frozen != NULL &&
         !frozen_table_begin(frozen, transfer->session, copy.table, copy.table_length, err))) {
        return false;
    }
    bool is_frozen = frozen != NULL && frozen->is_begun;
    transfer->as_text = (struct text)TEXT_INIT(length + COPY_STATEMENT_MORE);
    copy_statement_append(&copy, is_frozen ? "FREEZE" : "", &transfer->as_text);
    if (transfer->as_text.failed) {
        return error_set_memory(err);
    }
    return transfer->encoder != NULL ? begin_binary(transfer, &copy, is_frozen, err)
                                     : begin_copy(transfer, text_string(&transfer->as_text), err);
}

static bool send_encoded(struct row_transfer *transfer, struct error *err)
{
    size_t size;
    const void *bytes = row_encoder_take(transfer->encoder, &size);

    return copy_in_write(&transfer->copy, bytes, size, err);
}

static bool end_binary(struct row_transfer *transfer, int64_t *rows, struct error *err)
{
    return send_encoded(transfer, err) &&
           copy_in_write(&transfer->copy, row_encoder_end, sizeof(row_encoder_end), err) &&
           copy_in_end(&transfer->copy, rows, err);
}

/* The server counts lines within a COPY, and this may be the second. Returns false. */
static bool tell_rows_before(const struct row_transfer *transfer, struct error *err)
{
    return transfer->rows > 0 && error_prefix(err, "behind %" PRId64 " rows", transfer->rows);
}

/* From where the encoder has stopped. */
static bool go_on_as_text(struct row_transfer *transfer, struct error *err)
{
    size_t size;
    const char *rest = row_encoder_rest(transfer->encoder, &size);
    bool ok = end_binary(transfer, &transfer->rows, err) &&
              begin_copy(transfer, text_string(&transfer->as_text), err) &&
              copy_in_write(&transfer->copy, rest, size, err);

    row_encoder_free(transfer->encoder);
    transfer->encoder = NULL;
    return ok;
}

/* Returns with all of the rows, or up to where the encoder stops. */
static bool write_encoded(struct row_transfer *transfer, const char *rows, size_t size,
                          size_t *used, struct error *err)
{
    *used = 0;
    while (*used < size && !row_encoder_has_stopped(transfer->encoder)) {
        size_t more;
        if (!row_encoder_read(transfer->encoder, rows + *used, size - *used, &more, err) ||
            !send_encoded(transfer, err)) {
            return false;
        }
        *used += more;
    }
    return !row_encoder_has_stopped(transfer->encoder) || go_on_as_text(transfer, err);
}

bool row_transfer_write(struct row_transfer *transfer, const char *rows, size_t size,
                        struct error *err)
{
    size_t used = 0;

    if (transfer->encoder != NULL && !write_encoded(transfer, rows, size, &used, err)) {
        return false;
    }
    return copy_in_write(&transfer->copy, rows + used, size - used, err) ||
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
    int64_t last = 0;

    if (transfer->encoder != NULL && has_rest(transfer) && !go_on_as_text(transfer, err)) {
        return false;
    }
    bool ok = transfer->encoder != NULL ? end_binary(transfer, &last, err)
                                        : copy_in_end(&transfer->copy, &last, err);
    *rows = transfer->rows + last;
    return ok || tell_rows_before(transfer, err);
}

void row_transfer_clear(struct row_transfer *transfer)
{
    row_encoder_free(transfer->encoder);
    transfer->encoder = NULL;
    text_clear(&transfer->as_text);
}
