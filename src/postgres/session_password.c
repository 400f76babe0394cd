#include "postgres/session_password.h"

#include <string.h>

#include "base/log.h"
#include "postgres/conninfo.h"
#include "postgres/query.h"

bool session_password_make(const struct session *session, struct text *out, struct error *err)
{
    const struct session_password *password = session->password;

    if (password == NULL) {
        return true;
    }
    if (!password->make(password->context, session->ignore_stop, out, err)) {
        return error_prefix(err, "connecting to Postgres");
    }
    return !out->failed || error_set_memory(err);
}

#define HOW_TO_VERIFY                                                                              \
    "sslmode=verify-full and sslrootcert=FILE to the connection string; FILE is "                  \
    "/etc/ssl/certs/ca-certificates.crt on Debian"

static bool ask_privacy(const struct session *session, enum conninfo_privacy *out,
                        struct error *err)
{
    PQconninfoOption *options = PQconninfo(session->connection);
    struct conninfo_way way = {.sslmode = NULL};

    if (options == NULL) {
        return error_set_memory(err);
    }
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++) {
        if (strcmp(option->keyword, "sslmode") == 0) {
            way.sslmode = option->val;
        } else if (strcmp(option->keyword, "sslrootcert") == 0) {
            way.sslrootcert = option->val;
        } else if (strcmp(option->keyword, "host") == 0) {
            way.host = option->val;
        } else if (strcmp(option->keyword, "hostaddr") == 0) {
            way.hostaddr = option->val;
        }
    }
    *out = conninfo_privacy(&way);
    PQconninfoFree(options);
    return true;
}

bool session_password_check_privacy(const struct session *session, struct error *err)
{
    enum conninfo_privacy privacy;

    if (session->password == NULL) {
        return true;
    }
    if (!ask_privacy(session, &privacy, err)) {
        return false;
    }
    if (privacy != CONNINFO_IN_THE_CLEAR) {
        return true;
    }
    error_set(err, ERROR_CONFIG, "a token would be sent to Postgres without TLS");
    return error_hint(err, "add " HOW_TO_VERIFY);
}

void session_password_tell_exposure(const struct session *session)
{
    enum conninfo_privacy privacy;
    struct error ignored = ERROR_INIT;

    if (session->password != NULL && ask_privacy(session, &privacy, &ignored) &&
        privacy == CONNINFO_TO_ANYBODY) {
        log_warning("token_exposed",
                    "Tokens for Postgres go to whoever answers as %s, for sslmode=require does not "
                    "check who that is: add " HOW_TO_VERIFY,
                    PQhost(session->connection));
    }
}

void session_password_wipe(struct text *password)
{
    if (password->data != NULL) {
        explicit_bzero(password->data, password->capacity);
    }
    text_clear(password);
}
