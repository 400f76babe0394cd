/*
 * What is asked of the service for each blob that is stored: the options of a store's URL, and the
 * customer-provided key, which is a setting because it is a secret. Nothing here makes a request.
 *
 *     tier=hot|cool|cold            x-ms-access-tier of Put Block List
 *     immutability=unlocked|locked  a policy until retention ends (azure_policy.h)
 *     encryption-scope=NAME         x-ms-encryption-scope of Put Block and Put Block List
 *
 * https://learn.microsoft.com/azure/storage/blobs/encryption-customer-provided-keys
 */
#ifndef STORE_AZURE_AZURE_OPTIONS_H
#define STORE_AZURE_AZURE_OPTIONS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/settings.h"
#include "crypto/base64.h"
#include "crypto/digest.h"
#include "store/store_url.h"

#define AZURE_OPTIONS_SCOPE_SIZE 64
#define AZURE_OPTIONS_KEY_BYTES  32 /* AES-256 */

struct azure_options {
    const char *tier;         /* as the service spells it; NULL: the account's default */
    const char *immutability; /* the policy's mode; NULL: no policy */
    char scope[AZURE_OPTIONS_SCOPE_SIZE];           /* of encryption; "": the container's */
    char key[BASE64_SIZE(AZURE_OPTIONS_KEY_BYTES)]; /* a customer-provided one; "": none */
    char key_sha256[BASE64_SIZE(DIGEST_SHA256_SIZE)];
};

/* The names of the URL's options, ending with NULL. */
extern const char *const azure_options_names[];

/* The URL's options; the form alone. Into *out, all of which is set. */
bool azure_options_parse(const struct store_url *url, struct azure_options *out, struct error *err);
/* Adds the key of the settings, if there is one. */
bool azure_options_read_key(struct azure_options *options, const struct settings *settings,
                            struct error *err);
void azure_options_clear(struct azure_options *options);

#endif
