#include "postgres/session.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/redact.h"
#include "base/text.h"
#include "base/wait.h"
#include "postgres/conninfo.h"
#include "postgres/pooler.h"
#include "postgres/query.h"
#include "postgres/server_version.h"

#define CONNECTING "connecting to Postgres"
#define SETTING_UP "setting up the session"

static bool connect_until(struct session *session, const struct deadline *deadline,
                          struct error *err)
{
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;

    while (status != PGRES_POLLING_OK) {
        if (status == PGRES_POLLING_FAILED) {
            query_report(session, CONNECTING, err);
            err->retryable = true;
            return false;
        }
        if (!query_wait(session, status == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline,
                        err)) {
            const char *host = PQhost(session->connection);
            const char *port = PQport(session->connection);
            return error_prefix(err, CONNECTING " at %s, port %s", host != NULL ? host : "?",
                                port != NULL ? port : "?");
        }
        status = PQconnectPoll(session->connection);
    }
    return true;
}

static bool append_parameters(struct text *sql, int version)
{
    static const struct {
        const char *name;
        const char *value;
        enum server_feature feature; /* to servers without it it would be an error */
    } parameters[] = {
        {"statement_timeout", "0", SERVER_ANY},
        {"lock_timeout", "30s", SERVER_ANY},
        {"idle_in_transaction_session_timeout", "0", SERVER_ANY},
        {"idle_session_timeout", "0", SERVER_IDLE_SESSION_TIMEOUT},
        {"transaction_timeout", "0", SERVER_TRANSACTION_TIMEOUT},
        /* A vanished client's lock is free within a minute, */
        {"tcp_keepalives_idle", "15", SERVER_ANY},
        {"tcp_keepalives_interval", "10", SERVER_ANY},
        {"tcp_keepalives_count", "3", SERVER_ANY},
        /* also while the server waits to be acknowledged. */
        {"tcp_user_timeout", "45s", SERVER_ANY},
        {"default_transaction_isolation", "read committed", SERVER_ANY},
        {"default_transaction_read_only", "off", SERVER_ANY},
        {"DateStyle", "ISO", SERVER_ANY},
        {"TimeZone", "UTC", SERVER_ANY},
        {"client_min_messages", "warning", SERVER_ANY},
        {"row_security", "off", SERVER_ANY},
        {"standard_conforming_strings", "on", SERVER_ANY},
        {"array_nulls", "on", SERVER_ANY},
    };

    for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++) {
        if (server_version_has(version, parameters[i].feature)) {
            text_appendf(sql, "%sset_config('%s', '%s', false)", i > 0 ? ", " : "SELECT ",
                         parameters[i].name, parameters[i].value);
        }
    }
    /* Not every system can watch a connection, and a server on one that cannot refuses this. */
    if (server_version_has(version, SERVER_CONNECTION_CHECK)) {
        text_append(sql, ", CASE WHEN version() ~ 'linux' THEN"
                         " set_config('client_connection_check_interval', '10s', false) END");
    }
    return !sql->failed;
}

/* One round trip, which changes nothing unless this server process answers: through a pooler it may
 * be one that others use, too. */
static bool set_parameters(struct session *session, int64_t pid, bool *set, struct error *err)
{
    struct text sql = TEXT_INIT(4096);
    bool ok = append_parameters(&sql, PQserverVersion(session->connection));

    text_appendf(&sql, " WHERE pg_backend_pid() = %" PRId64, pid);
    PGresult *result = NULL;
    if (!ok || sql.failed) {
        error_set_memory(err);
    } else {
        result = query_run(session, text_string(&sql), 0, NULL, err);
    }
    text_clear(&sql);
    if (result == NULL) {
        return error_prefix(err, SETTING_UP);
    }
    *set = PQntuples(result) == 1;
    PQclear(result);
    return true;
}

/* Without a pooler, the server process named when the connection began is the one that answers. */
static bool set_up(struct session *session, int64_t limit_ms, struct error *err)
{
    int64_t pid = PQbackendPID(session->connection);
    bool set = false;

    if (!set_parameters(session, pid, &set, err)) {
        return false;
    }
    if (set) {
        return true;
    }
    session->is_pooled = true;
    if (!pooler_examine(session, limit_ms, &pid, err) || !set_parameters(session, pid, &set, err)) {
        return false;
    }
    return set ? true : pooler_refuse(session, err);
}

static void note_notice(void *context, const PGresult *result)
{
    struct session *session = context;

    session->notices++;
    log_debug("postgres_notice", "Postgres notes: %s", PQresultErrorMessage(result));
}

static struct session *create(bool ignore_stop)
{
    struct session *session = calloc(1, sizeof(*session));

    if (session != NULL) {
        session->ignore_stop = ignore_stop;
        session->interrupt_fd = -1;
        session->limit_ms = QUERY_LIMIT_MS;
    }
    return session;
}

static bool connect_session(struct session *session, const char *const *keywords,
                            const char *const *values, const struct deadline *deadline,
                            struct error *err)
{
    session->connection = PQconnectStartParams(keywords, values, 0);
    if (session->connection == NULL) {
        return error_set_memory(err);
    }
    if (!session_password_check_privacy(session, err)) {
        return false;
    }
    if (PQstatus(session->connection) == CONNECTION_BAD) {
        return query_report(session, CONNECTING, err);
    }
    if (!connect_until(session, deadline, err)) {
        return false;
    }
    if (session->password == NULL) {
        /* It may have come from a password file or the environment. */
        redact_register(PQpass(session->connection));
    }
    if (PQsetnonblocking(session->connection, 1) != 0) {
        return query_report(session, SETTING_UP, err);
    }
    PQsetNoticeReceiver(session->connection, note_notice, session);
    return true;
}

static bool begin(struct session *session, struct conninfo *conninfo,
                  const struct session_options *options, struct error *err)
{
    int64_t limit_ms = options->connect_s * 1000;
    struct deadline deadline =
        options->ignore_stop ? deadline_cleanup_in_ms(limit_ms) : deadline_in_ms(limit_ms);

    conninfo_default(conninfo, "fallback_application_name", "rythm-backup");
    conninfo_default(conninfo, "client_encoding", "UTF8");
    conninfo_default(conninfo, "keepalives_idle", "15");
    conninfo_default(conninfo, "keepalives_interval", "10");
    conninfo_default(conninfo, "keepalives_count", "3");
    conninfo_default(conninfo, "tcp_user_timeout", "60000");
    return connect_session(session, conninfo->keywords, conninfo->values, &deadline, err) &&
           set_up(session, limit_ms, err);
}

bool session_open(const struct session_options *options, struct session **out, struct error *err)
{
    struct conninfo conninfo = CONNINFO_INIT;
    struct conninfo_place place = {.values = {NULL}};
    struct text password = TEXT_INIT(SESSION_PASSWORD_CAP);
    struct session *session = create(options->ignore_stop);

    if (session == NULL) {
        return error_set_memory(err);
    }
    session->connect_ms = options->connect_s * 1000;
    snprintf(session->shift, sizeof(session->shift), "%" PRId64, options->clock_shift_ms);
    const char *given_by = options->given_by != NULL ? options->given_by : "DATABASE_URL";
    bool ok = conninfo_parse(options->conninfo, given_by, &conninfo, err) &&
              (options->service == NULL || conninfo_place_hide(&place, err));
    if (ok) {
        conninfo_retarget(&conninfo, options->dbname, options->service);
        session->password = conninfo_has(&conninfo, "password") ? NULL : options->password;
        ok = session_password_make(session, &password, err);
    }
    if (ok) {
        if (session->password != NULL) {
            conninfo_default(&conninfo, "password", text_string(&password));
        }
        ok = begin(session, &conninfo, options, err);
    }
    session_password_wipe(&password);
    conninfo_place_restore(&place);
    conninfo_clear(&conninfo);
    if (!ok) {
        session_close(session);
        return false;
    }
    *out = session;
    return true;
}

/* `dbname`: NULL for the session's own; `deadline`: NULL for the usual one, which begins when there
 * is a password. */
static bool connect_again(struct session *session, const char *dbname,
                          const struct deadline *deadline, struct session **out, struct error *err)
{
    const char *keywords[CONNINFO_MOST] = {NULL};
    const char *values[CONNINFO_MOST] = {NULL};
    size_t count = 0;
    struct text password = TEXT_INIT(SESSION_PASSWORD_CAP);
    struct session *again = create(session->ignore_stop);
    PQconninfoOption *options = PQconninfo(session->connection);

    for (PQconninfoOption *option = options;
         option != NULL && option->keyword != NULL && count + 1 < CONNINFO_MOST; option++) {
        const char *value = dbname != NULL && strcmp(option->keyword, "dbname") == 0
                                ? dbname
                                : query_option_value(session, option);
        if (session->password != NULL && strcmp(option->keyword, "password") == 0) {
            continue;
        }
        if (value != NULL && *value != '\0') {
            keywords[count] = option->keyword;
            values[count++] = value;
        }
    }
    bool ok = again != NULL && options != NULL ? session_password_make(session, &password, err)
                                               : error_set_memory(err);
    if (ok) {
        struct deadline usual = deadline_in_ms(session->connect_ms);
        again->password = session->password;
        if (again->password != NULL) {
            keywords[count] = "password";
            values[count] = text_string(&password);
        }
        ok = connect_session(again, keywords, values, deadline != NULL ? deadline : &usual, err);
    }
    session_password_wipe(&password);
    PQconninfoFree(options);
    if (!ok) {
        session_close(again);
        return false;
    }
    *out = again;
    return true;
}

bool session_open_again(struct session *session, const struct deadline *deadline,
                        struct session **out, struct error *err)
{
    return connect_again(session, NULL, deadline, out, err);
}

bool session_open_beside(struct session *session, struct session **out, struct error *err)
{
    return session_open_in(session, NULL, out, err);
}

bool session_open_in(struct session *session, const char *dbname, struct session **out,
                     struct error *err)
{
    struct session *beside = NULL;

    if (!connect_again(session, dbname, NULL, &beside, err)) {
        return false;
    }
    beside->connect_ms = session->connect_ms;
    memcpy(beside->shift, session->shift, sizeof(beside->shift));
    if (!set_up(beside, beside->connect_ms, err)) {
        session_close(beside);
        return false;
    }
    /* Another thread must not look into libpq's connection. */
    beside->interrupt_fd = fcntl(PQsocket(beside->connection), F_DUPFD_CLOEXEC, 0);
    if (beside->interrupt_fd < 0) {
        error_set_system(err, errno, SETTING_UP);
        session_close(beside);
        return false;
    }
    *out = beside;
    return true;
}

void session_interrupt(struct session *session)
{
    shutdown(session->interrupt_fd, SHUT_RDWR);
}

void session_close(struct session *session)
{
    if (session == NULL) {
        return;
    }
    PQfinish(session->connection);
    if (session->interrupt_fd >= 0) {
        close(session->interrupt_fd);
    }
    free(session);
}

void session_limit(struct session *session, int64_t limit_ms)
{
    session->limit_ms = limit_ms;
}

void session_ignore_stop(struct session *session)
{
    session->ignore_stop = true;
}

bool session_is_alive(struct session *session)
{
    struct error ignored = ERROR_INIT;

    return query_execute(session, "SELECT 1", 0, NULL, &ignored);
}

bool session_has_hung_up(const struct session *session, int within_ms)
{
    struct pollfd fd = {.fd = session->interrupt_fd, .events = POLLRDHUP};

    return poll(&fd, 1, within_ms) == 1 && (fd.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

bool session_lacked_lock(const struct session *session)
{
    /* lock_not_available */
    return strcmp(session->sqlstate, "55P03") == 0;
}

void session_facts(const struct session *session, struct server_facts *out)
{
    const char *version = PQparameterStatus(session->connection, "server_version");

    *out = (struct server_facts){.version_number = PQserverVersion(session->connection)};
    /* "15.20 (Debian 15.20-0+deb12u1)": the number is enough. */
    snprintf(out->version, sizeof(out->version), "%.*s",
             version != NULL ? (int)strcspn(version, " ") : 0, version != NULL ? version : "");
    snprintf(out->database, sizeof(out->database), "%s", PQdb(session->connection));
    const char *encoding = PQparameterStatus(session->connection, "server_encoding");
    snprintf(out->encoding, sizeof(out->encoding), "%s", encoding != NULL ? encoding : "");
}

bool session_now(struct session *session, int64_t *now_ms, struct error *err)
{
    const char *values[] = {session->shift};
    PGresult *result = query_run(session, "SELECT " QUERY_MS(QUERY_NOW(1)), 1, values, err);

    if (result == NULL) {
        return error_prefix(err, "asking the server for the time");
    }
    *now_ms = query_number(result, 0, 0);
    PQclear(result);
    return true;
}

bool session_parse_shift(struct session *session, const char *timestamp, int64_t *shift_ms,
                         struct error *err)
{
    const char *values[] = {timestamp};
    PGresult *result = query_run(session,
                                 "SELECT CASE WHEN $1::timestamptz BETWEEN '1970-01-01 00:00Z'"
                                 " AND '9999-12-31 23:59:59.999Z' THEN " QUERY_MS(
                                     "$1::timestamptz") " - " QUERY_MS("clock_timestamp()") " END",
                                 1, values, err);

    if (result == NULL) {
        /* class 22, data exception */
        if (strncmp(session->sqlstate, "22", 2) == 0) {
            err->kind = ERROR_USAGE;
        }
        return error_prefix(err, "option --now");
    }
    bool known = query_text(result, 0, 0) != NULL;
    if (known) {
        *shift_ms = query_number(result, 0, 0);
    }
    PQclear(result);
    return known ||
           error_set(err, ERROR_USAGE,
                     "option --now: '%s' is not between 1970-01-01 and 9999-12-31", timestamp);
}
