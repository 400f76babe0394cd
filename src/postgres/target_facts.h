/*
 * What a backup needs of the server that it is restored to, and a dump of one database does not
 * bring along.
 */
#ifndef POSTGRES_TARGET_FACTS_H
#define POSTGRES_TARGET_FACTS_H

#include <stdbool.h>

#include "base/error.h"
#include "postgres/session.h"

enum target_need {
    TARGET_ROLE,
    TARGET_EXTENSION, /* its files, so that CREATE EXTENSION finds them */
    TARGET_TABLESPACE,
};

/* Which of these names, NULL-terminated, the server does not have, in their order. *missing ends
 * with NULL, is empty when there is none, and is for text_list_free(). */
bool target_facts_find_missing(struct session *session, enum target_need need, char *const *names,
                               char ***missing, struct error *err);

/* Creates roles that nobody can log in as: all of them or none. */
bool target_facts_create_roles(struct session *session, char *const *names, struct error *err);

/* Is the server of an older major version than the one that this version ("15.20") names? What a
 * newer one has written it may not understand. False for a text that names none. */
bool target_facts_is_older(const struct session *session, const char *version);

#endif
