/*
 * What the supported server versions, 13 to 18, do not have in common: one table, with the release
 * that brought each.
 */
#ifndef POSTGRES_SERVER_VERSION_H
#define POSTGRES_SERVER_VERSION_H

#include <stdbool.h>

enum server_feature {
    SERVER_ANY, /* what every version has */
    SERVER_TID_RANGE_SCAN,
    SERVER_IDLE_SESSION_TIMEOUT,
    SERVER_CONNECTION_CHECK,
    SERVER_QUIET_COPY,
    SERVER_LOCALE_PROVIDER,
    SERVER_ICU_RULES,
    SERVER_BUILTIN_LOCALE,
    SERVER_TRANSACTION_TIMEOUT,
    SERVER_SEQUENCE_DATA,
};

/* `version` as PQserverVersion() gives it: 150020. */
bool server_version_has(int version, enum server_feature feature);

/* The oldest server that the parallel dump reads. */
#define SERVER_VERSION_OLDEST 130000

#endif
