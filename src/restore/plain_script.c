#include "restore/plain_script.h"

#include "restore/segment_reader.h"
#include "restore/whole_object.h"

static bool write_segments(const struct backup_source *source, struct stage *out,
                           atomic_uint_least64_t *raw_bytes, struct error *err)
{
    const struct segments *segments = &source->manifest.segments;
    struct segment_reader *reader = segment_reader_new(source, raw_bytes, err);
    bool ok = reader != NULL;

    for (size_t i = 0; ok && i < segments->count; i++) {
        ok = segment_reader_run(reader, &segments->items[i], out, err);
    }
    segment_reader_free(reader);
    return ok;
}

static bool ignore_write(struct stage *stage, const void *data, size_t size, struct error *err)
{
    (void)stage;
    (void)data;
    (void)size;
    (void)err;
    return true;
}

bool plain_script_write(const struct backup_source *source, struct stage *out,
                        atomic_uint_least64_t *raw_bytes, struct error *err)
{
    static const struct stage_ops ignoring = {.write = ignore_write};
    struct stage nowhere = {.ops = &ignoring};

    if (source->has_manifest) {
        return write_segments(source, out, raw_bytes, err);
    }
    return whole_object_read(source, &nowhere, NULL, err) &&
           whole_object_read(source, out, raw_bytes, err);
}
