#include "commands/credential_view.h"

#include <inttypes.h>
#include <stdio.h>

#include "commands/output.h"
#include "commands/schedule_view.h"

#define DAY_MS ((int64_t)24 * 3600 * 1000)

static bool ends_soon(const struct store_credential *credential, int64_t now_ms)
{
    return credential->ends_ms - now_ms <= STORE_CREDENTIAL_AHEAD_MS;
}

static void print_one(const struct store_credential *credential, int64_t now_ms)
{
    int64_t left_ms = credential->ends_ms - now_ms;
    int64_t days = left_ms / DAY_MS;
    char end[SCHEDULE_VIEW_MINUTE_SIZE];

    schedule_view_minute(end, credential->ends_ms);
    printf("The %s for account %s in %s ", credential->what, credential->account,
           credential->setting);
    if (left_ms <= 0) {
        printf("has ended, %s: make a new one\n", end);
    } else {
        printf("ends in %" PRId64 " day%s, %s: make a new one in time\n", days,
               days == 1 ? "" : "s", end);
    }
}

void credential_view_print(const struct store_credentials *credentials, int64_t now_ms)
{
    bool any = false;

    for (size_t i = 0; i < credentials->count; i++) {
        if (!ends_soon(&credentials->items[i], now_ms)) {
            continue;
        }
        if (!any) {
            putchar('\n');
            any = true;
        }
        print_one(&credentials->items[i], now_ms);
    }
}

json_t *credential_view_json(const struct store_credentials *credentials, int64_t now_ms)
{
    json_t *list = json_array();

    for (size_t i = 0; i < credentials->count; i++) {
        const struct store_credential *credential = &credentials->items[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o, s:b}", "what", credential->what,
                                              "account", credential->account, "setting",
                                              credential->setting, "ends",
                                              output_json_instant(true, credential->ends_ms),
                                              "ends_soon", ends_soon(credential, now_ms)));
    }
    return list;
}
