/*
 * A password that is made for each connection, as an identity's tokens are: who opens sessions says
 * where it comes from, and this folder asks for one whenever it connects.
 */
#ifndef POSTGRES_SESSION_PASSWORD_H
#define POSTGRES_SESSION_PASSWORD_H

#include <stdbool.h>

#include "base/error.h"
#include "base/text.h"

/* More than any server takes. */
#define SESSION_PASSWORD_CAP (32 * 1024)

struct session_password {
    /* Appends a new one, which it has registered with base/redact.h. Has a deadline of its own.
     * `ignore_stop`: for cleaning up after a stop. */
    bool (*make)(void *context, bool ignore_stop, struct text *out, struct error *err);
    void *context;
};

struct session;

/* Warns, of an open session whose passwords are made, when they go to a host whose certificate is
 * not checked. */
void session_password_tell_exposure(const struct session *session);

/* For this folder. */

/* Appends a password for one more connection of the session's kind; nothing where they are not
 * made. */
bool session_password_make(const struct session *session, struct text *out, struct error *err);
/* Once the connection has begun, and before anything is sent: ERROR_CONFIG where one that was made
 * would be sent in the clear. */
bool session_password_check_privacy(const struct session *session, struct error *err);
/* Wipes and clears it. */
void session_password_wipe(struct text *password);

#endif
