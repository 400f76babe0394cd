#include "postgres/server_locale.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "postgres/query.h"
#include "postgres/server_version.h"

#define SQL_CAP ((size_t)4096)

/* pg_database.datlocprovider */
static const struct {
    const char *code;
    const char *name;
    enum server_feature since;
} providers[] = {
    {"c", DATABASE_LOCALE_LIBC, SERVER_ANY},
    {"i", "icu", SERVER_LOCALE_PROVIDER},
    {"b", "builtin", SERVER_BUILTIN_LOCALE},
};
#define PROVIDER_COUNT (sizeof(providers) / sizeof(providers[0]))

static bool has(const struct session *session, enum server_feature feature)
{
    return server_version_has(PQserverVersion(session->connection), feature);
}

const char *server_locale_expression(const struct session *session)
{
#define LIBC        "format(' LC_COLLATE %L LC_CTYPE %L', d.datcollate, d.datctype)"
#define ICU(column) " WHEN 'i' THEN format(' LOCALE_PROVIDER icu ICU_LOCALE %L', d." column ")"
#define RULES                                                                                      \
    " || CASE WHEN d.daticurules <> '' THEN format(' ICU_RULES %L', d.daticurules) ELSE '' END"
#define CLAUSE(other) LIBC " || CASE d.datlocprovider" other " ELSE ' LOCALE_PROVIDER libc' END"
    if (has(session, SERVER_BUILTIN_LOCALE)) {
        return CLAUSE(ICU("datlocale") RULES
                      " WHEN 'b' THEN format(' LOCALE_PROVIDER builtin BUILTIN_LOCALE %L',"
                      " d.datlocale)");
    }
    if (has(session, SERVER_ICU_RULES)) {
        return CLAUSE(ICU("daticulocale") RULES);
    }
    return has(session, SERVER_LOCALE_PROVIDER) ? CLAUSE(ICU("daticulocale")) : LIBC;
#undef LIBC
#undef ICU
#undef RULES
#undef CLAUSE
}

/* False when it does not fit: half of a locale is none. */
static bool take(const PGresult *result, int column, char *out, size_t size)
{
    query_copy(result, 0, column, out, size);
    return (size_t)PQgetlength(result, 0, column) < size;
}

static const char *provider_name(const char *code)
{
    for (size_t i = 0; i < PROVIDER_COUNT; i++) {
        if (strcmp(providers[i].code, code) == 0) {
            return providers[i].name;
        }
    }
    return code;
}

bool server_locale_read(struct session *session, const char *database, struct database_locale *out,
                        struct error *err)
{
    const char *values[] = {database};
    struct text query = TEXT_INIT(SQL_CAP);
    struct database_locale locale;
    PGresult *result = NULL;

    text_appendf(&query,
                 "SELECT %s, datcollate, datctype, %s, %s FROM pg_database"
                 " WHERE datname = $1::name",
                 has(session, SERVER_LOCALE_PROVIDER) ? "datlocprovider" : "'c'",
                 has(session, SERVER_BUILTIN_LOCALE)    ? "datlocale"
                 : has(session, SERVER_LOCALE_PROVIDER) ? "daticulocale"
                                                        : "NULL",
                 has(session, SERVER_ICU_RULES) ? "daticurules" : "NULL");
    if (query.failed) {
        error_set_memory(err);
    } else {
        result = query_run(session, text_string(&query), 1, values, err);
    }
    text_clear(&query);
    if (result == NULL) {
        return error_prefix(err, "reading the locale of database %s", database);
    }
    *out = (struct database_locale){.provider = ""};
    locale = *out;
    if (PQntuples(result) == 1 && take(result, 1, locale.collate, sizeof(locale.collate)) &&
        take(result, 2, locale.ctype, sizeof(locale.ctype)) &&
        take(result, 3, locale.locale, sizeof(locale.locale)) &&
        take(result, 4, locale.icu_rules, sizeof(locale.icu_rules))) {
        snprintf(locale.provider, sizeof(locale.provider), "%s",
                 provider_name(query_text(result, 0, 0)));
        *out = locale;
    }
    PQclear(result);
    return true;
}

static const char *provider_code(const struct session *session, const char *name)
{
    for (size_t i = 0; i < PROVIDER_COUNT; i++) {
        if (strcmp(providers[i].name, name) == 0) {
            return has(session, providers[i].since) ? providers[i].code : NULL;
        }
    }
    return NULL;
}

bool server_locale_clause(struct session *session, const struct database_locale *locale,
                          char **clause, struct error *err)
{
    const char *values[] = {locale->collate, locale->ctype,
                            provider_code(session, locale->provider), locale->locale,
                            locale->icu_rules};
    struct text query = TEXT_INIT(SQL_CAP);
    PGresult *result = NULL;

    *clause = NULL;
    if (values[2] == NULL) {
        return true;
    }
    text_appendf(&query,
                 "SELECT %s FROM (SELECT $1::text AS datcollate, $2::text AS datctype,"
                 " $3::text AS datlocprovider, $4::text AS datlocale, $4::text AS daticulocale,"
                 " $5::text AS daticurules) d",
                 server_locale_expression(session));
    if (query.failed) {
        error_set_memory(err);
    } else {
        result = query_run(session, text_string(&query), 5, values, err);
    }
    text_clear(&query);
    bool ok = result != NULL && query_copy_text(result, 0, 0, clause, err);
    PQclear(result);
    return ok || error_prefix(err, "writing the locale of a database");
}
