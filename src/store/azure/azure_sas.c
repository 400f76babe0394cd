#include "store/azure/azure_sas.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define DAY_MS   ((int64_t)24 * 3600 * 1000)
#define AHEAD_MS (7 * DAY_MS)

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
static bool check_end(const struct azure_account *account, int64_t now_ms, struct error *err)
{
    char end[AZURE_ACCOUNT_FIELD_SIZE];
    int64_t end_ms;

    if (!azure_account_sas_field(account, "se", end) || !clock_parse_iso(end, &end_ms)) {
        return true;
    }
    if (end_ms <= now_ms) {
        error_set(err, ERROR_CONFIG, "the SharedAccessSignature for account %s has ended (se=%s)",
                  account->name, end);
        return error_hint(err, "make a new one");
    }
    if (end_ms - now_ms <= AHEAD_MS) {
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
