#include "commands/chosen_backup.h"

bool chosen_backup_open(struct context *context, const char *wanted, struct chosen_backup *out,
                        struct error *err)
{
    struct error ignored = ERROR_INIT;

    *out = (struct chosen_backup){.schedules = {.items = NULL}};
    if (!backup_choice_check(wanted, err)) {
        return false;
    }
    bool known = context_read_schedules(context, &out->schedules, &ignored);
    return store_plans_open(context, &out->schedules, &out->stores, err) &&
           backup_choice_find(&context->stores, known ? &out->schedules : NULL, wanted,
                              &out->choice, err);
}

void chosen_backup_clear(struct chosen_backup *chosen)
{
    backup_choice_clear(&chosen->choice);
    store_plans_clear(&chosen->stores);
    backup_schedule_clear(&chosen->schedules);
}
