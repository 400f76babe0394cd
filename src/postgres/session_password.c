#include "postgres/session_password.h"

#include <string.h>

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

bool session_password_check_privacy(const struct session *session, struct error *err)
{
    PQconninfoOption *options = NULL;
    const char *mode = NULL;
    const char *host = NULL;
    const char *hostaddr = NULL;

    if (session->password == NULL) {
        return true;
    }
    options = PQconninfo(session->connection);
    if (options == NULL) {
        return error_set_memory(err);
    }
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++) {
        if (strcmp(option->keyword, "sslmode") == 0) {
            mode = option->val;
        } else if (strcmp(option->keyword, "host") == 0) {
            host = option->val;
        } else if (strcmp(option->keyword, "hostaddr") == 0) {
            hostaddr = option->val;
        }
    }
    bool ok = conninfo_is_private(mode, host, hostaddr);
    PQconninfoFree(options);
    if (ok) {
        return true;
    }
    error_set(err, ERROR_CONFIG, "a token would be sent to Postgres without TLS");
    return error_hint(err, "add sslmode=verify-full and sslrootcert=FILE to the connection string; "
                           "FILE is /etc/ssl/certs/ca-certificates.crt on Debian");
}

void session_password_wipe(struct text *password)
{
    if (password->data != NULL) {
        explicit_bzero(password->data, password->capacity);
    }
    text_clear(password);
}
