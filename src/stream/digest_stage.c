#include "stream/digest_stage.h"

#include <stdlib.h>

struct digest_stage {
    struct stage stage;
    struct digest *digest;
    struct stream_digest *out;
};

static bool digest_stage_write(struct stage *stage, const void *data, size_t size,
                               struct error *err)
{
    struct digest_stage *self = (struct digest_stage *)stage;

    if (!digest_update(self->digest, data, size, err) ||
        !stage_write(self->stage.next, data, size, err)) {
        return false;
    }
    self->out->bytes += size;
    return true;
}

static bool digest_stage_finish(struct stage *stage, struct error *err)
{
    struct digest_stage *self = (struct digest_stage *)stage;
    unsigned char sha256[DIGEST_SHA256_SIZE];

    if (!digest_final(self->digest, sha256, err)) {
        return false;
    }
    digest_format_hex(self->out->sha256, sha256, sizeof(sha256));
    return true;
}

static void digest_stage_free(struct stage *stage)
{
    struct digest_stage *self = (struct digest_stage *)stage;

    digest_free(self->digest);
    free(self);
}

struct stage *digest_stage_new(struct stream_digest *out, struct stage *next, struct error *err)
{
    static const struct stage_ops ops = {digest_stage_write, digest_stage_finish,
                                         digest_stage_free};

    if (next == NULL) {
        return NULL;
    }
    struct digest_stage *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        error_set_memory(err);
        goto failed;
    }
    *self = (struct digest_stage){.stage = {.ops = &ops, .next = next}, .out = out};
    self->digest = digest_new(DIGEST_SHA256, err);
    if (self->digest == NULL) {
        goto failed;
    }
    *out = (struct stream_digest){.bytes = 0};
    return (struct stage *)self;

failed:
    free(self);
    stage_free(next);
    return NULL;
}
