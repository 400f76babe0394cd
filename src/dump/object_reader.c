#include "dump/object_reader.h"

#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "postgres/large_objects.h"
#include "postgres/sequences.h"

/* Who restores holds a lock on each large object that was made in the same transaction. */
#define MADE_AT_ONCE 100

/* Where sequences and large objects are written to. */
struct output {
    struct segment_stream *stream;
    struct segment *segment;
};

/* 'text' as a literal of standard SQL (standard_conforming_strings is on). */
static bool print_literal(struct segment_stream *stream, const char *text, struct error *err)
{
    struct text literal = TEXT_INIT(4096);

    text_append(&literal, "'");
    for (const char *c = text; *c != '\0'; c++) {
        text_append_bytes(&literal, *c == '\'' ? "''" : c, *c == '\'' ? 2 : 1);
    }
    text_append(&literal, "'");
    bool ok = literal.failed ? error_set_memory(err)
                             : segment_stream_write(stream, literal.data, literal.length, err);
    text_clear(&literal);
    return ok;
}

static bool write_sequence(void *context, const char *ident, const char *last_value, bool is_called,
                           struct error *err)
{
    struct output *output = context;
    struct segment_stream *stream = output->stream;

    output->segment->rows++;
    return segment_stream_print(stream, "SELECT pg_catalog.setval(", err) &&
           print_literal(stream, ident, err) && segment_stream_print(stream, ", ", err) &&
           segment_stream_print(stream, last_value, err) &&
           segment_stream_print(stream, is_called ? ", true);\n" : ", false);\n", err);
}

bool object_reader_sequences(const struct data_reader *reader, struct segment *segment,
                             struct error *err)
{
    struct output output = {.stream = reader->stream, .segment = segment};

    return segment_stream_print(reader->stream, "--\n-- Sequences\n--\n\n", err) &&
           sequences_read(reader->session, reader->scope, write_sequence, &output, err) &&
           segment_stream_print(reader->stream, "\n\n", err);
}

static bool make_large_object(struct output *output, const char *definition, struct error *err)
{
    bool is_full = output->segment->rows > 0 && output->segment->rows % MADE_AT_ONCE == 0;

    return (!is_full || segment_stream_print(output->stream, "COMMIT;\n\nBEGIN;\n\n", err)) &&
           segment_stream_print(output->stream, definition, err);
}

static bool begin_large_object(void *context, const char *oid, const char *definition,
                               struct error *err)
{
    struct output *output = context;

    if (definition != NULL && !make_large_object(output, definition, err)) {
        return false;
    }
    output->segment->rows++;
    large_object_add(&output->segment->fingerprint, oid);
    /* 131072: INV_WRITE (libpq/libpq-fs.h) */
    return segment_stream_print(output->stream, "SELECT pg_catalog.lo_open('", err) &&
           segment_stream_print(output->stream, oid, err) &&
           segment_stream_print(output->stream, "', 131072);\n", err);
}

static bool write_piece(void *context, const char *oid, uint64_t offset, const char *hex,
                        size_t digits, struct error *err)
{
    struct output *output = context;

    return large_object_add_piece(&output->segment->fingerprint, oid, offset, hex, digits, err) &&
           segment_stream_print(output->stream, "SELECT pg_catalog.lowrite(0, '\\x", err) &&
           segment_stream_write(output->stream, hex, digits, err) &&
           segment_stream_print(output->stream, "');\n", err);
}

static bool end_large_object(void *context, const char *oid, struct error *err)
{
    struct output *output = context;

    (void)oid;
    return segment_stream_print(output->stream, "SELECT pg_catalog.lo_close(0);\n\n", err);
}

bool object_reader_large_objects(const struct data_reader *reader, const struct plan_part *part,
                                 struct segment *segment, struct error *err)
{
    struct output output = {.stream = reader->stream, .segment = segment};
    const struct large_object_sink sink = {begin_large_object, write_piece, end_large_object,
                                           &output};

    return segment_stream_print(reader->stream, "--\n-- Large objects\n--\n\nBEGIN;\n\n", err) &&
           large_objects_read(reader->session, part->from_oid, part->until_oid,
                              reader->makes_large_objects, &sink, err) &&
           segment_stream_print(reader->stream, "COMMIT;\n\n\n", err);
}
