#include "postgres/conninfo.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "base/host.h"
#include "base/redact.h"
#include "base/text.h"

/* PostgreSQL manual, "Connection URIs". */
static bool is_uri(const char *text)
{
    return strncmp(text, "postgresql://", 13) == 0 || strncmp(text, "postgres://", 11) == 0;
}

static bool malformed(struct error *err, const char *why)
{
    return error_set(err, ERROR_CONFIG, "%s (its value is not shown)", why);
}

/* In a URI the password ends at the first '/' or '?', whatever the user meant: "u:pa/ss@host" is
 * the host "u". What libpq would then try to resolve or report is a piece of the password. */
static bool check_uri(const char *text, struct error *err)
{
    const char *authority = strstr(text, "://") + 3;
    size_t length = strcspn(authority, "/?");
    size_t at_signs = 0;

    for (size_t i = 0; i < length; i++) {
        at_signs += authority[i] == '@';
    }
    if (at_signs > 1) {
        return malformed(err, "there is more than one '@' before the path; in a user name or "
                              "password write @ as %40");
    }
    const char *path_end = authority + length + strcspn(authority + length, "?");
    if (memchr(authority + length, '@', (size_t)(path_end - (authority + length))) != NULL) {
        return malformed(err, "there is an '@' after the first '/'; in a password write / as %2F, "
                              "? as %3F and @ as %40");
    }
    return true;
}

static bool check_ports(const char *ports, struct error *err)
{
    if (ports[strspn(ports, "0123456789,")] != '\0') {
        return malformed(err, "the port is not a number; in a password write / as %2F, : as %3A "
                              "and @ as %40");
    }
    return true;
}

static void set(struct conninfo *out, const char *keyword, const char *value)
{
    if (out->count + 1 < CONNINFO_MOST) {
        out->keywords[out->count] = keyword;
        out->values[out->count] = value;
        out->count++;
        out->keywords[out->count] = NULL;
        out->values[out->count] = NULL;
    }
}

/* libpq marks passwords with '*' (PQconndefaults()), but what a password can be replaced by, from
 * version 18 on, as something that is for debugging alone. */
bool conninfo_is_secret(const char *keyword, const char *display)
{
    return display[0] == '*' || strcmp(keyword, "scram_client_key") == 0 ||
           strcmp(keyword, "scram_server_key") == 0;
}

static bool parse(const char *text, struct conninfo *out, struct error *err)
{
    char *message = NULL;

    if (!is_uri(text) && strchr(text, '=') == NULL) {
        /* libpq would take all of it for a database's name, which the server then repeats. */
        if (strchr(text, '@') != NULL || strstr(text, ":/") != NULL) {
            return malformed(err, "it looks like a URI, but does not begin with postgresql://; a "
                                  "database's name that holds an @ is written dbname='...'");
        }
        set(out, "dbname", text);
        return true;
    }
    if (is_uri(text) && !check_uri(text, err)) {
        return false;
    }
    PQconninfoOption *options = PQconninfoParse(text, &message);
    if (options == NULL) {
        PQfreemem(message);
        return malformed(err, is_uri(text)
                                  ? "it is not a valid URI; the form is "
                                    "postgresql://USER:PASSWORD@HOST:PORT/DATABASE, special "
                                    "characters in the password percent-encoded (@ : / ? % "
                                    "become %40 %3A %2F %3F %25)"
                                  : "it is not a valid connection string; the form is "
                                    "keyword=value ..., a value with blanks in single quotes");
    }
    out->parsed = options;
    for (PQconninfoOption *option = options; option->keyword != NULL; option++) {
        if (option->val == NULL || *option->val == '\0') {
            continue;
        }
        if (conninfo_is_secret(option->keyword, option->dispchar)) {
            redact_register(option->val);
        }
        if (strcmp(option->keyword, "port") == 0 && !check_ports(option->val, err)) {
            conninfo_clear(out);
            return false;
        }
        set(out, option->keyword, option->val);
    }
    return true;
}

bool conninfo_parse(const char *text, const char *given_by, struct conninfo *out, struct error *err)
{
    *out = (struct conninfo)CONNINFO_INIT;
    return text == NULL || parse(text, out, err) || error_prefix(err, "reading %s", given_by);
}

void conninfo_clear(struct conninfo *conninfo)
{
    PQconninfoFree(conninfo->parsed);
    *conninfo = (struct conninfo)CONNINFO_INIT;
}

static void drop(struct conninfo *conninfo, const char *keyword)
{
    size_t kept = 0;

    for (size_t i = 0; i < conninfo->count; i++) {
        if (strcmp(conninfo->keywords[i], keyword) != 0) {
            conninfo->keywords[kept] = conninfo->keywords[i];
            conninfo->values[kept++] = conninfo->values[i];
        }
    }
    conninfo->count = kept;
    conninfo->keywords[kept] = NULL;
    conninfo->values[kept] = NULL;
}

void conninfo_retarget(struct conninfo *conninfo, const char *dbname, const char *service)
{
    static const char *const places[] = {"service", "host", "hostaddr", "port"};

    if (dbname == NULL && service == NULL) {
        return;
    }
    drop(conninfo, "dbname");
    for (size_t i = 0; service != NULL && i < sizeof(places) / sizeof(places[0]); i++) {
        drop(conninfo, places[i]);
    }
    if (service != NULL) {
        set(conninfo, "service", service);
    } else {
        set(conninfo, "dbname", dbname);
    }
}

bool conninfo_database(const char *text, const char *given_by, char *out, size_t size,
                       struct error *err)
{
    static const char *const places[] = {"host", "hostaddr", "port"};
    struct conninfo conninfo;

    if (!conninfo_parse(text, given_by, &conninfo, err)) {
        return false;
    }
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        drop(&conninfo, places[i]);
    }
    set(&conninfo, "host", "/nonexistent");
    PGconn *nowhere = PQconnectStartParams(conninfo.keywords, conninfo.values, 0);
    const char *name = nowhere != NULL ? PQdb(nowhere) : NULL;
    bool ok = name != NULL && strlen(name) < size;
    if (ok) {
        memcpy(out, name, strlen(name) + 1);
    } else {
        error_set(err, ERROR_CONFIG,
                  "reading %s: it does not name a database, or by a name of more than %zu bytes",
                  given_by, size - 1);
    }
    PQfinish(nowhere);
    conninfo_clear(&conninfo);
    return ok;
}

static const char *const place_variables[CONNINFO_PLACE_VARIABLES] = {"PGHOST", "PGHOSTADDR",
                                                                      "PGPORT", "PGDATABASE"};

bool conninfo_place_hide(struct conninfo_place *out, struct error *err)
{
    struct conninfo_place place = {.values = {NULL}};

    for (size_t i = 0; i < CONNINFO_PLACE_VARIABLES; i++) {
        const char *value = getenv(place_variables[i]);
        place.values[i] = text_copy(value);
        if (value != NULL && place.values[i] == NULL) {
            conninfo_place_restore(&place);
            return error_set_memory(err);
        }
        unsetenv(place_variables[i]);
    }
    *out = place;
    return true;
}

void conninfo_place_restore(struct conninfo_place *place)
{
    for (size_t i = 0; i < CONNINFO_PLACE_VARIABLES; i++) {
        if (place->values[i] != NULL) {
            setenv(place_variables[i], place->values[i], 1);
        }
        free(place->values[i]);
        place->values[i] = NULL;
    }
}

bool conninfo_has(const struct conninfo *conninfo, const char *keyword)
{
    for (size_t i = 0; i < conninfo->count; i++) {
        if (strcmp(conninfo->keywords[i], keyword) == 0) {
            return true;
        }
    }
    return false;
}

/* A list, separated by commas; a path or an abstract name is a socket of this host. */
static bool are_local(const char *hosts)
{
    while (*hosts != '\0') {
        size_t length = strcspn(hosts, ",");
        if (*hosts != '/' && *hosts != '@' && !host_is_loopback(hosts, length)) {
            return false;
        }
        hosts += length + (hosts[length] == ',');
    }
    return true;
}

enum conninfo_privacy conninfo_privacy(const struct conninfo_way *way)
{
    const char *mode = way->sslmode != NULL ? way->sslmode : "";
    bool has_root = way->sslrootcert != NULL && *way->sslrootcert != '\0';

    if (strcmp(mode, "verify-full") == 0 || strcmp(mode, "verify-ca") == 0) {
        return CONNINFO_PRIVATE;
    }
    if (way->hostaddr != NULL && *way->hostaddr != '\0'
            ? are_local(way->hostaddr)
            : way->host == NULL || are_local(way->host)) {
        return CONNINFO_PRIVATE;
    }
    if (strcmp(mode, "require") != 0) {
        return CONNINFO_IN_THE_CLEAR;
    }
    return has_root ? CONNINFO_PRIVATE : CONNINFO_TO_ANYBODY;
}

void conninfo_default(struct conninfo *conninfo, const char *keyword, const char *value)
{
    if (!conninfo_has(conninfo, keyword)) {
        set(conninfo, keyword, value);
    }
}
