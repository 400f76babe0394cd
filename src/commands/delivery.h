/*
 * What waits in the outbox, sent now.
 */
#ifndef COMMANDS_DELIVERY_H
#define COMMANDS_DELIVERY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "commands/context.h"

/* Connects and sends (outbox_deliver()). *unsent: what was not sent now, to be tried again or given
 * up; 0 when false is returned. */
bool delivery_run(struct context *context, size_t *unsent, struct error *err);

#endif
