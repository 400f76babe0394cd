/*
 * The roles of a server, which no database holds: what makes each of them, its settings and its
 * memberships, as statements. Those that belong to Postgres (pg_...) are left out, and so are
 * settings for one database.
 */
#ifndef POSTGRES_CLUSTER_ROLES_H
#define POSTGRES_CLUSTER_ROLES_H

#include <stdbool.h>

#include "base/error.h"
#include "postgres/session.h"

/* `step` 1: makes the role; else: changes what only a role that was just made is to be given. */
typedef bool (*cluster_roles_sink)(void *context, const char *step, const char *role,
                                   const char *statement, struct error *err);

/* May this role read their passwords' hashes? ERROR_CONFIG says who may. */
bool cluster_roles_check_passwords(struct session *session, struct error *err);

/* In an order that depends on nothing else: a step after the other, by name. With `passwords` their
 * hashes, too. */
bool cluster_roles_read(struct session *session, bool passwords, cluster_roles_sink sink,
                        void *context, struct error *err);

#endif
