#include "postgres/session_child.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "postgres/conninfo.h"
#include "postgres/query.h"

#define CONNINFO_CAP (64 * 1024)

/* 'value' with ' and \ escaped (manual, "Keyword/Value Connection Strings"). */
static void append_pair(struct text *out, const char *keyword, const char *value)
{
    text_appendf(out, "%s%s='", out->length > 0 ? " " : "", keyword);
    for (const char *c = value; *c != '\0'; c++) {
        if (*c == '\'' || *c == '\\') {
            text_append(out, "\\");
        }
        text_append_bytes(out, c, 1);
    }
    text_append(out, "'");
}

/* A host that vanishes must not keep the child's locks either: the same as session.c sets for a
 * session of ours. And what pg_dump leaves to the role, so that it changes no byte of the schema. A
 * pooler would refuse options. */
#define OPTIONS                                                                                    \
    "-c tcp_keepalives_idle=15 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"            \
    " -c tcp_user_timeout=45000 -c standard_conforming_strings=on -c quote_all_identifiers=off"    \
    " -c bytea_output=hex -c xmlbinary=base64"

static void append_options(struct text *out, const struct session *session, const char *options)
{
    struct text all = TEXT_INIT(CONNINFO_CAP);

    text_append(&all, options);
    if (!session->is_pooled) {
        text_append(&all, all.length > 0 ? " " OPTIONS : OPTIONS);
    }
    if (all.length > 0) {
        append_pair(out, "options", text_string(&all));
    }
    out->failed = out->failed || all.failed;
    text_clear(&all);
}

/* One of its own, where passwords are made. */
static bool append_made(const struct session *session, struct text *out, struct error *err)
{
    if (session->password != NULL) {
        text_append(out, "PGPASSWORD=");
    }
    return session_password_make(session, out, err);
}

bool session_child_init(struct session_child *out, struct session *session, struct error *err)
{
    struct text conninfo = TEXT_INIT(CONNINFO_CAP);
    struct text password = TEXT_INIT(CONNINFO_CAP);
    char secret[64] = "";
    PQconninfoOption *options = PQconninfo(session->connection);

    for (PQconninfoOption *option = options; option != NULL && option->keyword != NULL; option++) {
        const char *value = query_option_value(session, option);
        if (strcmp(option->keyword, "options") == 0) {
            append_options(&conninfo, session, value != NULL ? value : "");
            continue;
        }
        if (value == NULL || *value == '\0') {
            continue;
        }
        if (strcmp(option->keyword, "password") == 0) {
            if (session->password == NULL) {
                text_appendf(&password, "PGPASSWORD=%s", value);
            }
        } else if (conninfo_is_secret(option->keyword, option->dispchar)) {
            snprintf(secret, sizeof(secret), "%s", option->keyword);
        } else if (strcmp(option->keyword, "client_encoding") != 0) {
            append_pair(&conninfo, option->keyword, value);
        }
    }
    bool listed = options != NULL;
    PQconninfoFree(options);
    bool made = append_made(session, &password, err);
    if (*secret != '\0') {
        error_set(err, ERROR_CONFIG,
                  "%s cannot be handed to pg_dump without showing it to other users", secret);
        error_hint(err, "use a password, or a client key without a passphrase");
    } else if (!listed || conninfo.failed || password.failed) {
        error_set_memory(err);
    } else if (made) {
        out->conninfo = text_copy(text_string(&conninfo));
        out->password = text_copy(text_string(&password));
        if (out->conninfo != NULL && out->password != NULL) {
            text_clear(&conninfo);
            session_password_wipe(&password);
            return true;
        }
        session_child_clear(out);
        error_set_memory(err);
    }
    text_clear(&conninfo);
    session_password_wipe(&password);
    return false;
}

void session_child_clear(struct session_child *child)
{
    free(child->conninfo);
    if (child->password != NULL) {
        explicit_bzero(child->password, strlen(child->password));
    }
    free(child->password);
    *child = (struct session_child){NULL, NULL};
}
