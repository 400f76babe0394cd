#include "dump/data_reader.h"

#include "dump/globals_reader.h"
#include "dump/object_reader.h"
#include "dump/table_reader.h"
#include "postgres/snapshot.h"

static bool read_objects(const struct data_reader *reader, const struct plan_part *part,
                         struct segment *segment, struct error *err)
{
    if (part->kind == SEGMENT_GLOBALS) {
        return globals_reader_run(reader, err);
    }
    return part->kind == SEGMENT_SEQUENCES
               ? object_reader_sequences(reader, segment, err)
               : object_reader_large_objects(reader, part, segment, err);
}

static bool read_others(const struct data_reader *reader, size_t number, struct error *err)
{
    const struct plan_part *part = &reader->plan->parts[number];
    struct segment *segment = &reader->plan->segments.items[part->first];

    if (reader->snapshot != NULL && !snapshot_join(reader->session, reader->snapshot, err)) {
        return false;
    }
    segment_stream_begin(reader->stream, number, segment);
    bool ok = read_objects(reader, part, segment, err) && segment_stream_end(reader->stream, err);
    if (ok && reader->snapshot != NULL) {
        snapshot_end(reader->session);
    }
    return ok;
}

bool data_reader_run(const struct data_reader *reader, size_t part, bool *locked, struct error *err)
{
    *locked = false;
    return reader->plan->parts[part].kind == SEGMENT_TABLE
               ? table_reader_run(reader, part, locked, err)
               : read_others(reader, part, err);
}
