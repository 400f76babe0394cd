/*
 * What a script asks of the database that it is restored into, found by reading its statements as
 * pg_dump writes them: the roles that it names, the extensions it creates, the tablespaces it uses.
 * And which statements are about owners and privileges, for a restore without these.
 */
#ifndef RESTORE_SCRIPT_FACTS_H
#define RESTORE_SCRIPT_FACTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "restore/sql_script.h"

/* Of each kind; with one more script_facts_add() fails. */
#define SCRIPT_FACTS_MOST ((size_t)50 * 1000)

/* Without quotes, sorted by their bytes, each once. */
struct script_names {
    char **items;
    size_t count;
};

/* Starts as zeroes. */
struct script_facts {
    struct script_names roles; /* not PUBLIC, CURRENT_USER and the like */
    struct script_names extensions;
    struct script_names tablespaces;
};

bool script_facts_add(struct script_facts *facts, const struct sql_statement *statement,
                      struct error *err);
void script_facts_clear(struct script_facts *facts);

/* ALTER ... OWNER TO, and SET and RESET SESSION AUTHORIZATION. */
bool script_facts_is_ownership(const struct sql_statement *statement);
/* GRANT, REVOKE, ALTER DEFAULT PRIVILEGES. */
bool script_facts_is_privilege(const struct sql_statement *statement);
/* DO: of all that a backup holds, the globals alone. */
bool script_facts_is_block(const struct sql_statement *statement);

#endif
