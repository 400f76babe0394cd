/*
 * How the notifications stand, as `status` shows it.
 */
#ifndef COMMANDS_NOTIFICATION_VIEW_H
#define COMMANDS_NOTIFICATION_VIEW_H

#include <jansson.h>
#include <stdint.h>

#include "postgres/delivery_status.h"

/* A line for those that wait, and one for those that were given up; nothing when there are none. */
void notification_view_print(const struct delivery_status *status, int64_t now_ms);
json_t *notification_view_json(const struct delivery_status *status);

#endif
