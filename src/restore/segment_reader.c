#include "restore/segment_reader.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "stream/decompress.h"

/* Read at once of a segment that is not kept. */
#define PIECE_SIZE ((size_t)4 * 1024 * 1024)
/* To be checked: what was damaged on its way is another time as it should be. */
#define MOST_READINGS 2

/* Counts what is given out. Only borrowed by the chain, which neither finishes nor frees it. */
struct tally {
    struct stage stage;
    struct stage *out; /* borrowed */
    uint64_t bytes;
    atomic_uint_least64_t *total; /* or NULL */
};

struct segment_reader {
    const struct backup_source *source;
    struct download *download;
    struct digest *object_digest; /* borrowed, or NULL */
    struct tally tally;
    struct stage *chain; /* to the tally; NULL before the first segment, and after a failure */
    unsigned char *buffer;
    size_t capacity;
};

static bool tally_write(struct stage *stage, const void *data, size_t size, struct error *err)
{
    struct tally *tally = (struct tally *)stage;

    tally->bytes += size;
    if (tally->total != NULL) {
        atomic_fetch_add(tally->total, size);
    }
    return stage_write(tally->out, data, size, err);
}

struct segment_reader *segment_reader_new(const struct backup_source *source,
                                          atomic_uint_least64_t *raw_bytes, struct error *err)
{
    static const struct stage_ops ops = {.write = tally_write};
    struct segment_reader *reader = calloc(1, sizeof(*reader));

    if (reader == NULL) {
        error_set_memory(err);
        return NULL;
    }
    reader->source = source;
    reader->tally = (struct tally){.stage = {.ops = &ops}, .total = raw_bytes};
    if (!store_download_open(source->store, source->backup->object, &reader->download, err)) {
        segment_reader_free(reader);
        return NULL;
    }
    return reader;
}

void segment_reader_free(struct segment_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    store_download_close(reader->download);
    stage_free(reader->chain);
    free(reader->buffer);
    free(reader);
}

void segment_reader_cancel(struct segment_reader *reader)
{
    store_download_cancel(reader->download);
}

void segment_reader_digest(struct segment_reader *reader, struct digest *digest)
{
    reader->object_digest = digest;
}

static bool make_room(struct segment_reader *reader, uint64_t size, struct error *err)
{
    if (size <= reader->capacity) {
        return true;
    }
    free(reader->buffer);
    reader->buffer = malloc((size_t)size);
    reader->capacity = reader->buffer != NULL ? (size_t)size : 0;
    return reader->buffer != NULL || error_set_memory(err);
}

static bool is_kept(const struct segment *segment)
{
    return segment->length <= SEGMENT_READER_MEMORY;
}

/* What the buffer begins with. */
static bool give_out_piece(struct segment_reader *reader, size_t size, struct error *err)
{
    return (reader->object_digest == NULL ||
            digest_update(reader->object_digest, reader->buffer, size, err)) &&
           stage_write(reader->chain, reader->buffer, size, err);
}

/* All at once if it is kept, else piece after piece. */
static bool read_pieces(struct segment_reader *reader, const struct segment *segment,
                        struct digest *digest, bool give_out, struct error *err)
{
    uint64_t most = is_kept(segment) ? segment->length : PIECE_SIZE;

    for (uint64_t done = 0; done < segment->length;) {
        uint64_t left = segment->length - done;
        size_t size = (size_t)(left < most ? left : most);
        if (!store_download_read(reader->download, segment->offset + done, reader->buffer, size,
                                 err) ||
            !digest_update(digest, reader->buffer, size, err) ||
            (give_out && !give_out_piece(reader, size, err))) {
            return false;
        }
        done += size;
    }
    return true;
}

/* What is given out only now was right when it was checked. */
static bool refuse_digest(bool give_out, struct error *err)
{
    if (!give_out) {
        return error_set(err, ERROR_DAMAGED, "its SHA-256 is not the one in the manifest");
    }
    error_set(err, ERROR_FAILED,
              "its bytes are not those that were read a moment before: they were damaged on their "
              "way");
    return error_hint(err, "try again");
}

/* Reads the segment, and compares its digest. */
static bool read_once(struct segment_reader *reader, const struct segment *segment, bool give_out,
                      struct error *err)
{
    struct digest *digest = digest_new(DIGEST_SHA256, err);
    unsigned char sha256[DIGEST_SHA256_SIZE];

    bool ok = digest != NULL && read_pieces(reader, segment, digest, give_out, err) &&
              digest_final(digest, sha256, err);
    digest_free(digest);
    return ok &&
           (memcmp(sha256, segment->sha256, sizeof(sha256)) == 0 || refuse_digest(give_out, err));
}

static bool read_checked(struct segment_reader *reader, const struct segment *segment,
                         struct error *err)
{
    bool ok = read_once(reader, segment, false, err);

    for (int i = 1; !ok && err->kind == ERROR_DAMAGED && i < MOST_READINGS; i++) {
        log_warning("segment_read_again",
                    "Segment at byte %" PRIu64 " of %s: %s; reading it again, for it may have been "
                    "damaged on its way",
                    segment->offset, reader->source->backup->object->name, err->text);
        error_clear(err);
        ok = read_once(reader, segment, false, err);
    }
    return ok;
}

/* Many segments are small: the decoder is used again. */
static bool begin_chain(struct segment_reader *reader, const struct segment *segment,
                        struct stage *out, struct error *err)
{
    reader->tally.out = out;
    reader->tally.bytes = 0;
    if (reader->chain != NULL) {
        decompress_stage_renew(reader->chain, segment->raw_length);
        return true;
    }
    reader->chain = decompress_stage_new(reader->source->method, segment->raw_length,
                                         stage_borrow_new(&reader->tally.stage, err), err);
    return reader->chain != NULL;
}

static bool give_out(struct segment_reader *reader, const struct segment *segment,
                     struct error *err)
{
    bool ok = is_kept(segment) ? give_out_piece(reader, (size_t)segment->length, err)
                               : read_once(reader, segment, true, err);

    if (!ok || !stage_finish(reader->chain, err)) {
        return false;
    }
    return reader->tally.bytes == segment->raw_length ||
           error_set(err, ERROR_DAMAGED,
                     "it holds %" PRIu64 " bytes of SQL, its manifest says %" PRIu64,
                     reader->tally.bytes, segment->raw_length);
}

bool segment_reader_run(struct segment_reader *reader, const struct segment *segment,
                        struct stage *out, struct error *err)
{
    if (make_room(reader, is_kept(segment) ? segment->length : PIECE_SIZE, err) &&
        read_checked(reader, segment, err) && begin_chain(reader, segment, out, err) &&
        give_out(reader, segment, err)) {
        return true;
    }
    stage_free(reader->chain);
    reader->chain = NULL;
    return error_prefix(err, "segment at byte %" PRIu64 " of %s", segment->offset,
                        reader->source->backup->object->name);
}

bool segment_reader_take(struct segment_reader *reader, const struct segment *segment,
                         struct stage *stage, struct error *err)
{
    bool ok = stage != NULL && segment_reader_run(reader, segment, stage, err) &&
              stage_finish(stage, err);

    stage_free(stage);
    return ok;
}
