#include "commands/notification_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "commands/output.h"
#include "commands/schedule_view.h"
#include "notify/channel.h"

#define ERROR_SHOWN 200

static const char *channel_words(const char *name)
{
    const struct channel *channel = channel_find(name);

    return channel != NULL ? channel->what : name;
}

void notification_view_print(const struct delivery_status *status, int64_t now_ms)
{
    char when[SCHEDULE_VIEW_WITH_AGE_SIZE];
    const char *reason = status->error != NULL ? status->error : "no reason is recorded";

    if (status->waiting + status->given_up > 0) {
        putchar('\n');
    }
    if (status->waiting > 0) {
        printf("%" PRId64 " notification(s) wait to be sent\n", status->waiting);
    }
    if (status->given_up > 0) {
        schedule_view_with_age(when, status->given_up_ms, now_ms);
        printf("%" PRId64 " notification(s) given up; the last one %s, by %s: %.*s%s\n",
               status->given_up, when, channel_words(status->channel), ERROR_SHOWN, reason,
               strlen(reason) > ERROR_SHOWN ? "..." : "");
    }
}

json_t *notification_view_json(const struct delivery_status *status)
{
    bool any = status->given_up > 0;

    return json_pack("{s:I, s:I, s:o, s:o, s:o}", "pending", (json_int_t)status->waiting,
                     "given_up", (json_int_t)status->given_up, "last_given_up",
                     output_json_instant(any, status->given_up_ms), "last_channel",
                     output_json_text(status->channel), "last_error",
                     output_json_text(status->error));
}
