/*
 * Signing a webhook's request by the Standard Webhooks convention (its specification, 1.0.0): an
 * HMAC-SHA256 over id, time and body, with a key that the receiver has, too.
 */
#ifndef NOTIFY_WEBHOOK_SIGN_H
#define NOTIFY_WEBHOOK_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define WEBHOOK_MOST_KEYS 4
#define WEBHOOK_KEY_SIZE  64

struct webhook_keys {
    unsigned char keys[WEBHOOK_MOST_KEYS][WEBHOOK_KEY_SIZE];
    size_t sizes[WEBHOOK_MOST_KEYS];
    size_t count;
};

/* RYTHM_BACKUP_WEBHOOK_SECRET: "whsec_BASE64" of 24 to 64 bytes; while keys are being changed
 * several, separated by blanks. They are registered for redaction; the error, ERROR_CONFIG, shows
 * nothing of them. */
bool webhook_keys_parse(const char *secret, struct webhook_keys *out, struct error *err);
void webhook_keys_clear(struct webhook_keys *keys);

/* The value of webhook-signature: one signature per key. `timestamp` is in seconds, and goes into
 * webhook-timestamp. */
#define WEBHOOK_SIGNATURE_SIZE (WEBHOOK_MOST_KEYS * 50)
bool webhook_sign(const struct webhook_keys *keys, const char *id, int64_t timestamp,
                  const char *body, char out[WEBHOOK_SIGNATURE_SIZE], struct error *err);

#endif
