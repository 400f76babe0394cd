#include "postgres/server_version.h"

/* Release notes of each version, appendix E of the manual. */
static const int since[] = {
    [SERVER_ANY] = 0,
    [SERVER_TID_RANGE_SCAN] = 140000,       /* before, a range of ctid reads the whole table */
    [SERVER_IDLE_SESSION_TIMEOUT] = 140000, /* idle_session_timeout */
    [SERVER_CONNECTION_CHECK] = 140000,     /* client_connection_check_interval */
    [SERVER_QUIET_COPY] = 140000,           /* parameters are reported between statements alone */
    [SERVER_LOCALE_PROVIDER] = 150000,      /* of a database: datlocprovider, daticulocale */
    [SERVER_ICU_RULES] = 160000,            /* daticurules */
    [SERVER_BUILTIN_LOCALE] = 170000,       /* datlocale, for ICU, too */
    [SERVER_TRANSACTION_TIMEOUT] = 170000,  /* transaction_timeout */
    [SERVER_SEQUENCE_DATA] = 180000,        /* pg_get_sequence_data() */
};

bool server_version_has(int version, enum server_feature feature)
{
    return version >= since[feature];
}
