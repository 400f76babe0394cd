/*
 * What the outbox has to tell a person who looks: what waits, and what was given up lately.
 */
#ifndef POSTGRES_DELIVERY_STATUS_H
#define POSTGRES_DELIVERY_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "postgres/session.h"

struct delivery_status {
    int64_t waiting;
    int64_t given_up; /* within the last week */
    /* The last of them. */
    char channel[32];
    int64_t given_up_ms;
    char *error; /* or NULL */
};

/* The caller clears it. */
bool delivery_status_read(struct session *session, struct delivery_status *out, struct error *err);
void delivery_status_clear(struct delivery_status *status);

#endif
