#include "store/azure/azure_options.h"

#include <stdio.h>
#include <string.h>

#include "base/redact.h"

#define OPTION_TIER         "tier"
#define OPTION_IMMUTABILITY "immutability"
#define OPTION_SCOPE        "encryption-scope"

const char *const azure_options_names[] = {OPTION_TIER, OPTION_IMMUTABILITY, OPTION_SCOPE, NULL};

static bool parse_tier(const char *value, struct azure_options *out, struct error *err)
{
    static const struct {
        const char *name;
        const char *tier;
    } tiers[] = {{"hot", "Hot"}, {"cool", "Cool"}, {"cold", "Cold"}};

    for (size_t i = 0; i < sizeof(tiers) / sizeof(tiers[0]); i++) {
        if (strcmp(value, tiers[i].name) == 0) {
            out->tier = tiers[i].tier;
            return true;
        }
    }
    error_set(err, ERROR_CONFIG, "the option " OPTION_TIER " must be hot, cool or cold");
    if (strcmp(value, "archive") == 0) {
        error_hint(err, "a backup in the archive tier can be neither restored nor verified until "
                        "it is rehydrated, which lasts hours: let a lifecycle rule of the account "
                        "move old backups there");
    }
    return false;
}

static bool parse_immutability(const char *value, struct azure_options *out, struct error *err)
{
    static const char *const modes[] = {"unlocked", "locked"};

    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(value, modes[i]) == 0) {
            out->immutability = modes[i];
            return true;
        }
    }
    return error_set(err, ERROR_CONFIG,
                     "the option " OPTION_IMMUTABILITY " must be unlocked (who has the right may "
                     "shorten it) or locked (nobody may)");
}

static bool parse_scope(const char *value, struct azure_options *out, struct error *err)
{
    size_t length = strlen(value);

    if (length < 3 || length >= sizeof(out->scope) ||
        strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-") !=
            length) {
        return error_set(err, ERROR_CONFIG,
                         "the option " OPTION_SCOPE " must be the name of an encryption scope of "
                         "the account: 3 to 63 letters, digits and hyphens");
    }
    memcpy(out->scope, value, length + 1);
    return true;
}

bool azure_options_parse(const struct store_url *url, struct azure_options *out, struct error *err)
{
    const char *tier = store_url_option(url, OPTION_TIER);
    const char *immutability = store_url_option(url, OPTION_IMMUTABILITY);
    const char *scope = store_url_option(url, OPTION_SCOPE);

    *out = (struct azure_options){.tier = NULL};
    return (tier == NULL || parse_tier(tier, out, err)) &&
           (immutability == NULL || parse_immutability(immutability, out, err)) &&
           (scope == NULL || parse_scope(scope, out, err));
}

bool azure_options_read_key(struct azure_options *options, const struct settings *settings,
                            struct error *err)
{
    const char *name = settings_table[SETTING_AZURE_ENCRYPTION_KEY].name;
    const char *text = settings_get(settings, SETTING_AZURE_ENCRYPTION_KEY);
    unsigned char key[AZURE_OPTIONS_KEY_BYTES];
    unsigned char sha256[DIGEST_SHA256_SIZE];
    size_t size = 0;

    if (text == NULL) {
        return true;
    }
    if (!base64_decode(text, key, sizeof(key), &size) || size != sizeof(key)) {
        error_set(err, ERROR_CONFIG, "%s is not %d bytes in base64 (its value is not shown)", name,
                  AZURE_OPTIONS_KEY_BYTES);
        return error_hint(err, "'openssl rand -base64 32' makes one");
    }
    if (options->scope[0] != '\0') {
        return error_set(err, ERROR_CONFIG,
                         "%s and the option " OPTION_SCOPE " exclude each other: remove one", name);
    }
    bool ok = digest_of(DIGEST_SHA256, key, sizeof(key), sha256, err);
    explicit_bzero(key, sizeof(key));
    if (ok) {
        snprintf(options->key, sizeof(options->key), "%s", text);
        redact_register(options->key);
        base64_encode(options->key_sha256, sha256, sizeof(sha256));
    }
    return ok;
}

void azure_options_clear(struct azure_options *options)
{
    explicit_bzero(options, sizeof(*options));
}
