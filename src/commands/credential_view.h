/*
 * What opens stores and is going to end, as `status` shows it.
 */
#ifndef COMMANDS_CREDENTIAL_VIEW_H
#define COMMANDS_CREDENTIAL_VIEW_H

#include <jansson.h>
#include <stdint.h>

#include "store/store_credentials.h"

/* A line for each that ends within a week, or has ended; nothing when there is none. */
void credential_view_print(const struct store_credentials *credentials, int64_t now_ms);
/* All of them. */
json_t *credential_view_json(const struct store_credentials *credentials, int64_t now_ms);

#endif
