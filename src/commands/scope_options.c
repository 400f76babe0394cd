#include "commands/scope_options.h"

bool scope_options_read(const struct invocation *invocation, int option, enum scope_list list,
                        struct scope *scope, struct error *err)
{
    const char *patterns[COMMAND_MOST_REPEATS];
    size_t count = command_repeated(invocation, option, patterns);

    for (size_t i = 0; i < count; i++) {
        if (!scope_check_pattern(patterns[i], err)) {
            return error_prefix(err, "option '--%s'", scope_option(list));
        }
        if (!scope_add(scope, list, patterns[i], err)) {
            return false;
        }
    }
    return true;
}
