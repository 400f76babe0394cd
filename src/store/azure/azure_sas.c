#include "store/azure/azure_sas.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define DAY_MS ((int64_t)24 * 3600 * 1000)

/* Found out now rather than after an upload: Put Block and Put Block List take w, the check of what
 * was published takes r, and List Blobs, which a scheduled run begins with, takes l of a container
 * ("Create an account SAS", permissions); i is for immutability policies. One for a container has
 * no srt. */
static bool check_permissions(const struct azure_account *account, bool immutable,
                              struct error *err)
{
    const struct {
        const char *field;
        const char *what;
        const char *needed;
        const char *words;
        const char *best;
    } needs[] = {
        {"sp", "has the permissions", immutable ? "rwli" : "rwl",
         immutable ? "r, w, l and i" : "r, w and l", immutable ? "racwdli" : "racwdl"},
        {"srt", "is for the resource types", "co", "c and o", "co"},
    };
    char given[AZURE_ACCOUNT_FIELD_SIZE];

    for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
        if (!azure_account_sas_field(account, needs[i].field, given)) {
            continue;
        }
        for (const char *letter = needs[i].needed; *letter != '\0'; letter++) {
            if (strchr(given, *letter) == NULL) {
                error_set(err, ERROR_CONFIG,
                          "the SharedAccessSignature %s %s=%s, and a backup needs %s",
                          needs[i].what, needs[i].field, given, needs[i].words);
                return error_hint(err, "make one with %s=%s", needs[i].field, needs[i].best);
            }
        }
    }
    return true;
}

/* One with a stored access policy does not say when it ends: the policy does. */
static bool read_end(const struct azure_account *account, char end[AZURE_ACCOUNT_FIELD_SIZE],
                     int64_t *end_ms)
{
    return azure_account_sas_field(account, "se", end) && clock_parse_iso(end, end_ms);
}

static bool check_end(const struct azure_account *account, int64_t now_ms, struct error *err)
{
    char end[AZURE_ACCOUNT_FIELD_SIZE];
    int64_t end_ms;

    if (!read_end(account, end, &end_ms)) {
        return true;
    }
    if (end_ms <= now_ms) {
        error_set(err, ERROR_CONFIG, "the SharedAccessSignature for account %s has ended (se=%s)",
                  account->name, end);
        return error_hint(err, "make a new one");
    }
    if (end_ms - now_ms <= STORE_CREDENTIAL_AHEAD_MS) {
        int64_t days = (end_ms - now_ms) / DAY_MS;
        log_warning("sas_ends",
                    "The SharedAccessSignature for account %s ends in %" PRId64
                    " day%s (se=%s): make a new one in time",
                    account->name, days, days == 1 ? "" : "s", end);
    }
    return true;
}

bool azure_sas_check(const struct azure_account *account, bool immutable, int64_t now_ms,
                     struct error *err)
{
    return account->sas == NULL ||
           (check_permissions(account, immutable, err) && check_end(account, now_ms, err));
}

static bool add(struct store_credentials *out, const char *connection, const char *setting,
                const char *member, struct error *err)
{
    struct azure_account account = {.key_size = 0};
    struct store_credential credential = {.what = "shared access signature"};
    struct error problem = ERROR_INIT;
    char end[AZURE_ACCOUNT_FIELD_SIZE];

    if (!azure_account_parse(connection, &account, &problem)) {
        return true;
    }
    snprintf(credential.account, sizeof(credential.account), "%s", account.name);
    snprintf(credential.setting, sizeof(credential.setting), "%s%s%s", setting,
             *member != '\0' ? "_" : "", member);
    bool ok = !read_end(&account, end, &credential.ends_ms) ||
              store_credentials_add(out, &credential, err);
    azure_account_clear(&account);
    return ok;
}

bool azure_sas_read(const struct settings *settings, struct store_credentials *out,
                    struct error *err)
{
    const char *name = settings_table[SETTING_AZURE_CONNECTION_STRING].name;
    const char *connection = settings_get(settings, SETTING_AZURE_CONNECTION_STRING);
    bool ok = connection == NULL || add(out, connection, name, "", err);

    for (size_t i = 0; ok && i < settings->family.count; i++) {
        const struct settings_member *item = &settings->family.items[i];
        ok = item->setting != SETTING_AZURE_CONNECTION_STRING ||
             add(out, item->value, name, item->member, err);
    }
    return ok;
}
