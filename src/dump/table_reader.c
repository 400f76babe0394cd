#include "dump/table_reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "postgres/copy_out.h"
#include "postgres/snapshot.h"
#include "postgres/table_copy.h"

#define SQL_CAP ((size_t)16 * 1024 * 1024)
/* Whoever has not got the locks on the indexes by then leaves them to the exporter. */
#define INDEX_LOCK_WAIT_MS 1000

static bool is_query(const struct table_entry *entry, const struct segment *segment)
{
    return segment->is_range || entry->condition[0] != '\0';
}

static void append_copy(struct text *sql, const struct table_entry *entry,
                        const struct segment *segment)
{
    const struct table_pages pages = {segment->from_page, segment->until_page};

    table_copy_append(sql, entry, segment->is_range ? &pages : NULL);
}

/* Locks come first, so that no COPY waits in the queue behind somebody who waits for us. To plan a
 * query the server locks all indexes of its table, and who rebuilds one may wait for us, too. A
 * COPY of the table itself does without them, but for TOAST's. */
static void append_locks(struct text *sql, const struct data_reader *reader,
                         const struct plan_part *part)
{
    const struct plan *plan = reader->plan;
    const struct segment *first = &plan->segments.items[part->first];

    text_append(sql, "LOCK TABLE ");
    for (size_t i = 0; i < part->count; i++) {
        const struct segment *segment = &plan->segments.items[part->first + i];
        text_appendf(sql, "%sONLY %s", i > 0 ? ", " : "", plan->entries[segment->table]->ident);
    }
    text_append(sql, " IN ACCESS SHARE MODE NOWAIT;");
    /* Such a table is a part of its own. */
    if (is_query(plan->entries[first->table], first)) {
        text_appendf(sql, "SET LOCAL lock_timeout = %d;EXPLAIN SELECT FROM ONLY %s;",
                     INDEX_LOCK_WAIT_MS, plan->entries[first->table]->ident);
    }
    text_appendf(sql, "SET LOCAL lock_timeout = %" PRId64 ";", reader->lock_wait_ms);
}

/* All of a part in one string: one round trip. */
static void format_part(struct text *sql, const struct data_reader *reader,
                        const struct plan_part *part)
{
    const struct plan *plan = reader->plan;

    if (reader->snapshot != NULL) {
        text_appendf(sql,
                     "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;"
                     "SET TRANSACTION SNAPSHOT '%s';",
                     reader->snapshot);
        append_locks(sql, reader, part);
    }
    for (size_t i = 0; i < part->count; i++) {
        const struct segment *segment = &plan->segments.items[part->first + i];
        append_copy(sql, plan->entries[segment->table], segment);
    }
    if (reader->snapshot != NULL) {
        text_append(sql, "COMMIT");
    }
}

/* A name in a comment must not end its line. */
static bool print_comment(struct segment_stream *stream, const char *before, const char *name,
                          const char *after, struct error *err)
{
    if (!segment_stream_print(stream, before, err)) {
        return false;
    }
    while (*name != '\0') {
        size_t length = strcspn(name, "\r\n");
        if (!segment_stream_write(stream, name, length, err)) {
            return false;
        }
        name += length;
        if (*name != '\0' && (name++, !segment_stream_print(stream, " ", err))) {
            return false;
        }
    }
    return segment_stream_print(stream, after, err);
}

/* A row's hash is without its line end. Most rows come whole. */
static void hash(struct fingerprint_row *row, struct fingerprint *sum, bool *in_pieces,
                 const char *piece, size_t size, bool whole)
{
    if (whole && !*in_pieces) {
        fingerprint_add(sum, piece, size - 1);
        return;
    }
    fingerprint_row_extend(row, piece, whole ? size - 1 : size);
    *in_pieces = !whole;
    if (whole) {
        fingerprint_row_end(row, sum);
    }
}

static bool copy_rows(struct copy_out *copy, const struct data_reader *reader,
                      struct segment *segment, struct error *err)
{
    struct fingerprint sum = {0, 0};
    bool in_pieces = false;
    bool whole = false;
    size_t got = 0;
    size_t room;
    int64_t rows;

    do {
        char *piece = segment_stream_reserve(reader->stream, &room, err);
        if (piece == NULL || !copy_out_read(copy, piece, room, &got, &whole, err)) {
            return false;
        }
        if (got > 0) {
            hash(reader->long_row, &sum, &in_pieces, piece, got, whole);
            segment_stream_commit(reader->stream, got);
        }
    } while (got > 0);
    if (!copy_out_end(copy, &rows, err)) {
        return false;
    }
    segment->rows = (uint64_t)rows;
    segment->fingerprint = sum;
    return true;
}

static bool write_table(struct copy_out *copy, const struct data_reader *reader,
                        const struct table_entry *entry, struct segment *segment, struct error *err)
{
    struct segment_stream *stream = reader->stream;

    return print_comment(stream, "--\n-- Data for ", entry->ident,
                         "; Type: TABLE DATA\n--\n\nCOPY ", err) &&
           segment_stream_print(stream, entry->target, err) &&
           segment_stream_print(stream, " ", err) &&
           segment_stream_print(stream, entry->columns, err) &&
           segment_stream_print(stream, " FROM stdin;\n", err) &&
           copy_rows(copy, reader, segment, err) &&
           segment_stream_print(stream, "\\.\n\n\n", err) && segment_stream_end(stream, err);
}

/* Of a wait that was given up: all tables were locked before. */
static void explain_lock(const struct session *session, struct error *err)
{
    if (session_lacked_lock(session)) {
        error_hint(err, "another session has held a lock on an index of it (REINDEX, say) for "
                        "longer than RYTHM_BACKUP_LOCK_TIMEOUT; pg_locks shows which");
    }
}

bool table_reader_run(const struct data_reader *reader, size_t number, bool *locked,
                      struct error *err)
{
    struct plan *plan = reader->plan;
    const struct plan_part *part = &plan->parts[number];
    struct copy_out copy = {.session = reader->session,
                            .stall_ms = reader->stall_ms,
                            .longest_row = reader->longest_row,
                            .most_mapped = reader->most_mapped};
    struct text sql = TEXT_INIT(SQL_CAP);
    const struct table_entry *entry = NULL;
    bool late = false;

    format_part(&sql, reader, part);
    bool ok = sql.failed ? error_set_memory(err) : copy_out_send(&copy, text_string(&sql), err);
    text_clear(&sql);
    for (size_t i = 0; ok && i < part->count; i++) {
        struct segment *segment = &plan->segments.items[part->first + i];
        entry = plan->entries[segment->table];
        /* Later ones have been written already: nobody else can make this part any more. */
        ok = copy_out_begin(&copy, i == 0 ? locked : &late, err);
        if (ok) {
            segment_stream_begin(reader->stream, number, segment);
            ok = write_table(&copy, reader, entry, segment, err);
        }
    }
    ok = ok && copy_out_finish(&copy, err);
    if (!ok && *locked && reader->snapshot != NULL) {
        snapshot_end(reader->session);
        return false;
    }
    if (!ok) {
        explain_lock(reader->session, err);
        error_prefix(err, "reading table %s", entry != NULL ? entry->ident : "(none)");
    }
    return ok;
}
