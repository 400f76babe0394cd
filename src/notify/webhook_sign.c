#include "notify/webhook_sign.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/redact.h"
#include "base/text.h"
#include "crypto/base64.h"
#include "crypto/digest.h"

#define SETTING      "RYTHM_BACKUP_WEBHOOK_SECRET"
#define PREFIX       "whsec_"
#define SHORTEST_KEY 24
#define SIGNED_CAP   (64 * 1024)

static bool malformed(struct error *err, const char *why)
{
    error_set(err, ERROR_CONFIG, SETTING ": %s (its value is not shown)", why);
    return error_hint(err, "the form is whsec_BASE64, of 24 to 64 random bytes: echo "
                           "whsec_$(openssl rand -base64 32)");
}

static bool parse_key(const char *word, struct webhook_keys *out, struct error *err)
{
    const char *encoded = word + strlen(PREFIX);
    size_t size;

    if (strncmp(word, PREFIX, strlen(PREFIX)) != 0) {
        return malformed(err, "a key does not begin with " PREFIX);
    }
    redact_register(word);
    redact_register(encoded);
    if (out->count == WEBHOOK_MOST_KEYS) {
        return malformed(err, "there are more than four keys");
    }
    if (!base64_decode(encoded, out->keys[out->count], WEBHOOK_KEY_SIZE, &size)) {
        return malformed(err, "a key is not base64, or longer than 64 bytes");
    }
    if (size < SHORTEST_KEY) {
        return malformed(err, "a key is shorter than 24 bytes");
    }
    out->sizes[out->count++] = size;
    return true;
}

bool webhook_keys_parse(const char *secret, struct webhook_keys *out, struct error *err)
{
    struct webhook_keys keys = {.count = 0};
    char *copy = text_copy(secret);
    char *rest = copy;
    bool ok = copy != NULL ? true : error_set_memory(err);

    while (ok && rest != NULL) {
        const char *word = strsep(&rest, " ");
        ok = *word == '\0' || parse_key(word, &keys, err);
    }
    if (copy != NULL) {
        explicit_bzero(copy, strlen(secret));
    }
    free(copy);
    if (ok && keys.count == 0) {
        ok = malformed(err, "it holds no key");
    }
    if (ok) {
        *out = keys;
    }
    webhook_keys_clear(&keys);
    return ok;
}

void webhook_keys_clear(struct webhook_keys *keys)
{
    explicit_bzero(keys, sizeof(*keys));
}

bool webhook_sign(const struct webhook_keys *keys, const char *id, int64_t timestamp,
                  const char *body, char out[WEBHOOK_SIGNATURE_SIZE], struct error *err)
{
    struct text signed_text = TEXT_INIT(SIGNED_CAP);
    unsigned char digest[DIGEST_SHA256_SIZE];
    char encoded[BASE64_SIZE(DIGEST_SHA256_SIZE)];
    size_t length = 0;

    text_appendf(&signed_text, "%s.%" PRId64 ".", id, timestamp);
    text_append(&signed_text, body);
    bool ok = signed_text.failed ? error_set_memory(err) : true;
    for (size_t i = 0; ok && i < keys->count; i++) {
        ok = digest_hmac_sha256(keys->keys[i], keys->sizes[i], text_string(&signed_text),
                                signed_text.length, digest, err);
        if (ok) {
            base64_encode(encoded, digest, sizeof(digest));
            length += (size_t)snprintf(out + length, WEBHOOK_SIGNATURE_SIZE - length, "%sv1,%s",
                                       i > 0 ? " " : "", encoded);
        }
    }
    text_clear(&signed_text);
    return ok ? true : error_prefix(err, "signing a webhook's request");
}
