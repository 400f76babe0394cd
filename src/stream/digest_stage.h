/*
 * The stage that takes the SHA-256 and the length of what passes through it.
 */
#ifndef STREAM_DIGEST_STAGE_H
#define STREAM_DIGEST_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "crypto/digest.h"
#include "stream/stage.h"

struct stream_digest {
    uint64_t bytes;
    char sha256[DIGEST_HEX_SIZE(DIGEST_SHA256_SIZE)]; /* "" until the stage is finished */
};

/* `*out` is kept up to date while bytes pass and must outlive the stage. Takes over `next`, also on
 * failure; a NULL `next` is passed on as the failure of whoever made it. */
struct stage *digest_stage_new(struct stream_digest *out, struct stage *next, struct error *err);

#endif
