#include "postgres/database_swap.h"

#include <stdio.h>
#include <string.h>

#include "postgres/database_properties.h"
#include "postgres/query.h"
#include "postgres/target_database.h"
#include "postgres/target_session.h"

/* Rows: what hangs on the database $1. */
static const char dependents_query[] =
    "SELECT 'subscription ' || quote_ident(s.subname) FROM pg_subscription s"
    " JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = $1::name UNION ALL"
    " SELECT 'replication slot ' || quote_ident(slot_name) FROM pg_replication_slots"
    " WHERE database = $1::name UNION ALL"
    " SELECT 'prepared transaction ' || quote_literal(gid) FROM pg_prepared_xacts"
    " WHERE database = $1::name LIMIT 1";

static bool check_dependents(struct session *session, const char *target, struct error *err)
{
    const char *values[] = {target};
    PGresult *result = query_run(session, dependents_query, 1, values, err);

    if (result == NULL) {
        return false;
    }
    bool none = PQntuples(result) == 0;
    if (!none) {
        error_set(err, ERROR_CONFIG, "database %s has the %s, which cannot go with it", target,
                  PQgetvalue(result, 0, 0));
        error_hint(err, "end or drop that first, or restore to another name");
    }
    PQclear(result);
    return none;
}

/* Columns: may this role rename it; its owner; this role. */
static bool check_owner(struct session *session, const char *target, struct error *err)
{
    const char *values[] = {target};
    PGresult *result = query_run(session,
                                 "SELECT pg_has_role(datdba, 'USAGE'),"
                                 " quote_ident(pg_get_userbyid(datdba)), quote_ident(current_user)"
                                 " FROM pg_database WHERE datname = $1::name",
                                 1, values, err);

    if (result == NULL) {
        return false;
    }
    bool may = PQntuples(result) == 0 || query_bool(result, 0, 0);
    if (!may) {
        error_set(err, ERROR_CONFIG, "database %s belongs to role %s: role %s cannot replace it",
                  target, PQgetvalue(result, 0, 1), PQgetvalue(result, 0, 2));
        error_hint(err, "restore as its owner, as a member of that role, or as a superuser");
    }
    PQclear(result);
    return may;
}

bool database_swap_check(struct session *session, const char *target, struct error *err)
{
    return (check_owner(session, target, err) && check_dependents(session, target, err)) ||
           error_prefix(err, "making sure that database %s can be replaced", target);
}

bool database_swap_rehearse(struct session *session, const char *scratch, const char *target,
                            struct error *err)
{
    struct error ignored = ERROR_INIT;
    bool ok = query_script(session, "BEGIN", err);

    if (ok) {
        ok = database_properties_copy(session, target, scratch, err);
        ok = query_settle(session, ok ? err : &ignored) && ok;
    }
    return ok || error_prefix(err, "making sure that database %s can be replaced", target);
}

/* Nobody comes in any more, and who has come is sent away: a monitor that looks into every database
 * must not undo a restore. */
static const char empty_query[] =
    "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a"
    " JOIN pg_roles me ON me.rolname = current_user JOIN pg_roles other ON other.oid = a.usesysid"
    " WHERE a.datname = $1::name AND a.pid <> pg_backend_pid()"
    " AND (me.rolsuper OR NOT other.rolsuper AND pg_has_role(other.oid, 'USAGE'))";

static bool close_scratch(struct session *session, const char *scratch, struct error *err)
{
    char sql[SCRATCH_NAME_SIZE + 64];
    const char *values[] = {scratch};

    snprintf(sql, sizeof(sql), "ALTER DATABASE %s ALLOW_CONNECTIONS false", scratch);
    return query_script(session, sql, err) && query_execute(session, empty_query, 1, values, err);
}

/* A commit of another database's must be on the disk before the old one goes. */
static bool begin(struct session *session, const char *scratch, const char *target,
                  struct error *err)
{
    return query_script(session, "BEGIN", err) &&
           query_script(session, "SET LOCAL synchronous_commit = on", err) &&
           database_properties_copy(session, target, scratch, err);
}

static bool rename_database(struct session *session, const char *from, const char *to,
                            struct error *err)
{
    char *old_name = PQescapeIdentifier(session->connection, from, strlen(from));
    char *new_name = PQescapeIdentifier(session->connection, to, strlen(to));
    struct text sql = TEXT_INIT(1024);

    text_appendf(&sql, "ALTER DATABASE %s RENAME TO %s", old_name != NULL ? old_name : "",
                 new_name != NULL ? new_name : "");
    bool ok = old_name != NULL && new_name != NULL && !sql.failed
                  ? target_session_run(session, text_string(&sql), err)
                  : error_set_memory(err);
    PQfreemem(old_name);
    PQfreemem(new_name);
    text_clear(&sql);
    return ok || error_prefix(err, "renaming database %s to %s", from, to);
}

static bool commit(struct session *session, const char *target, struct error *err)
{
    if (query_script(session, "COMMIT", err)) {
        return true;
    }
    return error_hint(err,
                      "if there is a database rythm_replaced_..., %s was replaced: the next "
                      "restore drops that one",
                      target);
}

/* object_in_use: who? */
static void name_user(struct session *session, const char *scratch, const char *target,
                      struct error *err)
{
    struct error named = ERROR_INIT;

    if ((!target_database_check_unused(session, target, &named) ||
         !target_database_check_unused(session, scratch, &named)) &&
        named.kind == ERROR_CONFIG) {
        *err = named;
    }
}

/* Names may have changed hands since it was described. */
static bool check_identity(struct session *session, const char *target,
                           const struct target_database *expected, struct error *err)
{
    struct target_database found;

    if (!target_database_describe(session, target, &found, err)) {
        return false;
    }
    if (found.exists == expected->exists && found.oid == expected->oid) {
        return true;
    }
    error_set(err, ERROR_FAILED, "database %s was %s meanwhile", target,
              !found.exists      ? "dropped or renamed"
              : expected->exists ? "replaced by another of that name"
                                 : "made by somebody else");
    return error_hint(err, "nothing was changed: look at it, and restore again");
}

static bool replace(struct session *session, const char *scratch, const char *target,
                    const struct target_database *expected, const char *replaced, struct error *err)
{
    struct error ignored = ERROR_INIT;

    if (begin(session, scratch, target, err) &&
        (*replaced == '\0' || (rename_database(session, target, replaced, err) &&
                               check_identity(session, replaced, expected, err))) &&
        rename_database(session, scratch, target, err)) {
        return commit(session, target, err);
    }
    bool in_use = strcmp(session->sqlstate, "55006") == 0;
    if (query_settle(session, &ignored) && in_use) {
        name_user(session, scratch, target, err);
    }
    return false;
}

bool database_swap_commit(struct session *session, const char *scratch, const char *target,
                          const struct target_database *expected, char replaced[SCRATCH_NAME_SIZE],
                          struct error *err)
{
    char aside[SCRATCH_NAME_SIZE] = "";
    bool held = false;

    bool ok = scratch_database_is_held(session, scratch, &held, err) &&
              (held || error_set(err, ERROR_FAILED, "the lock of database %s was lost", scratch)) &&
              check_identity(session, target, expected, err);
    if (ok && expected->exists) {
        ok = check_dependents(session, target, err) &&
             target_database_check_unused(session, target, err) &&
             scratch_database_reserve(session, SCRATCH_REPLACED, aside, err);
    }
    ok = ok && close_scratch(session, scratch, err) &&
         replace(session, scratch, target, expected, aside, err);
    if (!ok) {
        return error_prefix(err, "putting the restored database in the place of %s", target);
    }
    memcpy(replaced, aside, sizeof(aside));
    return true;
}
