#include "restore/whole_object.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "restore/index_builder.h"
#include "restore/workers.h"
#include "stream/decompress.h"
#include "stream/digest_stage.h"
#include "stream/script_end.h"

/* Of one request to the store. */
#define PIECE_SIZE ((size_t)4 * 1024 * 1024)

/* Counts the text, and keeps its end. Only borrowed, as is all that stands in front of others here:
 * it is neither finished nor freed. */
struct watch {
    struct stage stage;
    struct stage *out; /* borrowed */
    uint64_t bytes;
    atomic_uint_least64_t *total; /* or NULL */
    struct script_tail tail;
};

static bool watch_write(struct stage *stage, const void *data, size_t size, struct error *err)
{
    struct watch *watch = (struct watch *)stage;

    watch->bytes += size;
    if (watch->total != NULL) {
        atomic_fetch_add(watch->total, size);
    }
    script_tail_add(&watch->tail, data, size);
    return stage_write(watch->out, data, size, err);
}

static bool read_object(const struct backup_source *source, struct stage *chain, struct error *err)
{
    const struct object *object = source->backup->object;
    struct download *download = NULL;
    unsigned char *piece = malloc(PIECE_SIZE);

    bool ok = piece != NULL ? store_download_open(source->store, object, &download, err)
                            : error_set_memory(err);
    for (uint64_t done = 0; ok && done < object->bytes;) {
        uint64_t left = object->bytes - done;
        size_t size = left < PIECE_SIZE ? (size_t)left : PIECE_SIZE;
        ok = store_download_read(download, done, piece, size, err) &&
             stage_write(chain, piece, size, err);
        done += size;
    }
    store_download_close(download);
    free(piece);
    return ok && stage_finish(chain, err);
}

static bool judge(const struct backup_source *source, const struct watch *watch,
                  const struct stream_digest *digest, struct error *err)
{
    const struct backup_object *backup = source->backup;

    if (!backup->legacy && strcmp(digest->sha256, backup->facts.sha256) != 0) {
        return error_set(err, ERROR_DAMAGED, "its SHA-256 is not the one in its metadata");
    }
    if (!backup->legacy && watch->bytes != backup->facts.raw_bytes) {
        return error_set(err, ERROR_DAMAGED,
                         "it holds %" PRIu64 " bytes of SQL, its metadata say %" PRIu64,
                         watch->bytes, backup->facts.raw_bytes);
    }
    return script_tail_is_whole(&watch->tail) ||
           error_set(err, ERROR_DAMAGED, "it does not end as a whole script does");
}

bool whole_object_read(const struct backup_source *source, struct stage *out,
                       atomic_uint_least64_t *raw_bytes, struct error *err)
{
    static const struct stage_ops ops = {.write = watch_write};
    const struct backup_object *backup = source->backup;
    struct watch watch = {.stage = {.ops = &ops}, .out = out, .total = raw_bytes};
    struct stream_digest digest = {.bytes = 0};
    uint64_t most_bytes = backup->legacy ? DECOMPRESS_UNBOUNDED : backup->facts.raw_bytes;

    struct stage *chain = digest_stage_new(
        &digest,
        decompress_stage_new(source->method, most_bytes, stage_borrow_new(&watch.stage, err), err),
        err);
    bool ok =
        chain != NULL && read_object(source, chain, err) && judge(source, &watch, &digest, err);
    stage_free(chain);
    return ok ? true : error_prefix(err, "reading %s", backup->object->name);
}

bool whole_object_take(const struct backup_source *source, struct stage *stage,
                       atomic_uint_least64_t *raw_bytes, struct error *err)
{
    bool ok = stage != NULL && whole_object_read(source, stage, raw_bytes, err) &&
              stage_finish(stage, err);

    stage_free(stage);
    return ok;
}

/* What a replay of it takes. */
struct replaying {
    struct stage stage; /* in front of the replay: tells the progress */
    struct stage *out;
    atomic_uint_least64_t raw_bytes;
    const struct fill_options *options;
    bool like_source;
    struct workers workers; /* for indexes */
    struct index_builder *builder;
    struct row_sum sum;
};

static bool open_replaying(struct replaying *replaying, struct error *err)
{
    const struct fill_options *options = replaying->options;
    const struct workers_options workers = {
        .base = options->session,
        .count = (size_t)settings_get_number(options->settings, SETTING_JOBS),
        .prepare = fill_prepare_session,
        .context = options,
    };

    if (!row_sum_open(&replaying->sum, err) ||
        !fill_prepare_session(options, options->session, err) ||
        !workers_open(&replaying->workers, &workers, err)) {
        return false;
    }
    replaying->builder = index_builder_new(&replaying->workers, NULL, replaying->like_source, err);
    return replaying->builder != NULL;
}

static bool replaying_write(struct stage *stage, const void *data, size_t size, struct error *err)
{
    struct replaying *replaying = (struct replaying *)stage;
    const struct fill_options *options = replaying->options;

    if (options->progress != NULL) {
        options->progress(options->progress_context, atomic_load(&replaying->raw_bytes));
    }
    return stage_write(replaying->out, data, size, err);
}

static bool replay_all(struct replaying *replaying, struct error *err)
{
    const struct fill_options *options = replaying->options;
    struct replay replay = {
        .like_source = replaying->like_source,
        .session = options->session,
        .rules = &options->rules,
        .content = REPLAY_SCRIPT,
        .stall_ms = settings_get_number(options->settings, SETTING_STALL_TIMEOUT) * 1000,
        .sum = &replaying->sum,
        .defer = index_builder_take,
        .context = replaying->builder,
    };

    replaying->out = replay_stage_new(&replay, err);
    bool ok = replaying->out != NULL &&
              whole_object_read(options->source, &replaying->stage, &replaying->raw_bytes, err) &&
              stage_finish(replaying->out, err) && index_builder_run(replaying->builder, err);
    stage_free(replaying->out);
    return ok || index_builder_blame(replaying->builder, err);
}

bool whole_object_replay(const struct fill_options *options, struct fill_result *result,
                         struct error *err)
{
    static const struct stage_ops ops = {.write = replaying_write};
    struct replaying replaying = {.stage = {.ops = &ops},
                                  .options = options,
                                  .like_source = fill_is_like_source(options),
                                  .workers = WORKERS_INIT};
    bool ok = open_replaying(&replaying, err) && replay_all(&replaying, err);

    *result = (struct fill_result){.rows = replaying.sum.rows,
                                   .raw_bytes = atomic_load(&replaying.raw_bytes)};
    index_builder_free(replaying.builder);
    workers_close(&replaying.workers);
    row_sum_close(&replaying.sum);
    return ok;
}
