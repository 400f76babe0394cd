/* Two things make a session: while its client is connected nobody else uses its server process, and
 * once the client has gone the process forgets it, locks included. So a second connection is made,
 * each looks at the other's process for a while, and after the second one's end at what is left. */

#include "postgres/pooler.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "crypto/random.h"
#include "postgres/query.h"

/* Who asks. No rhythm: neither a pool that hands out its processes in turn, however many they are,
 * nor one that hands out the one it got back last, gives A always one and B always another. */
#define TURNS "ABBABAAB"
/* Before the last two: what a pooler does to a process between transactions has been done. */
#define SETTLE_MS 20
/* For the reset, which PgBouncer sends at once. */
#define RESET_LIMIT_MS (5 * 1000)
#define LONGEST_NAP_MS 50
/* With others waiting for it, a process that was reset is theirs before that is seen. */
#define MOST_TRIES 5

#define WAY_OUT "connect to Postgres directly (often port 5432 instead of 6432)"

enum verdict {
    VERDICT_OURS,
    VERDICT_SHARED,   /* the server process is not this client's alone */
    VERDICT_UNCLEAN,  /* it keeps what a client that has gone left in it */
    VERDICT_HIDDEN,   /* the one cannot see what the other does */
    VERDICT_OVERTAKEN /* another client had the process before the reset was seen */
};

/* One of the two connections. */
struct side {
    struct session *session;
    int64_t pid;                      /* of its server process; 0 until it was asked */
    char mark[RANDOM_UUID_SIZE + 32]; /* how its last statement begins */
};

/* What one of them sees: the process that answers it, and the other one's. */
struct sight {
    int64_t pid;
    bool gone;      /* the other's process */
    bool hidden;    /* what the other's process did last */
    bool own;       /* it did nothing since the other's last statement */
    bool was_reset; /* the last thing it did is what frees locks */
};

static struct deadline deadline_for(const struct session *session, int64_t duration_ms)
{
    return session->ignore_stop ? deadline_cleanup_in_ms(duration_ms) : deadline_in_ms(duration_ms);
}

static bool look(struct side *self, const struct side *other, const struct deadline *deadline,
                 struct sight *out, struct error *err)
{
    char uuid[RANDOM_UUID_SIZE];
    char pid[24];
    char sql[256];
    const char *values[] = {pid};

    if (!random_uuid(uuid, err)) {
        return false;
    }
    snprintf(self->mark, sizeof(self->mark), "/* rythm-backup %s */", uuid);
    snprintf(pid, sizeof(pid), "%" PRId64, other->pid);
    snprintf(sql, sizeof(sql),
             "%s SELECT pg_backend_pid(), pid, state, query FROM (VALUES (1)) one"
             " LEFT JOIN pg_stat_activity ON pid = $1::integer",
             self->mark);
    self->session->limit_ms = deadline_left_ms(deadline);
    PGresult *result = query_run(self->session, sql, 1, values, err);
    if (result == NULL) {
        return false;
    }
    const char *state = query_text(result, 0, 2);
    const char *query = query_text(result, 0, 3);
    *out = (struct sight){
        .pid = query_number(result, 0, 0),
        .gone = query_text(result, 0, 1) == NULL,
        /* Another role's, or track_activities is off (manual, "pg_stat_activity"). */
        .hidden = state == NULL || strcmp(state, "disabled") == 0 || query == NULL,
        .own = query != NULL && strncmp(query, other->mark, strlen(other->mark)) == 0,
        .was_reset = query != NULL && (strcasestr(query, "discard all") != NULL ||
                                       strcasestr(query, "pg_advisory_unlock_all") != NULL),
    };
    PQclear(result);
    return true;
}

static bool nap(const struct session *session, int64_t duration_ms, struct error *err)
{
    struct deadline deadline = deadline_for(session, duration_ms);

    return wait_until(&deadline, err);
}

/* The kind of error that nobody but the operator can mend, and what has to be mended. */
static bool report_second(const struct deadline *deadline, struct error *err)
{
    if (err->kind == ERROR_STOPPED) {
        return false;
    }
    if (deadline_left_ms(deadline) == 0) {
        err->kind = ERROR_CONFIG;
    }
    error_prefix(err, "the connection pooler there does not give this program a second server "
                      "connection, without which it cannot tell whether the first is its own");
    return error_hint(err, "let the pool of this role and database have more connections (in "
                           "PgBouncer pool_size or default_pool_size, at least 4), or " WAY_OUT);
}

/* Both are connected: does each have a process that nobody else uses? */
static bool watch_both(struct side *a, struct side *b, const struct deadline *deadline,
                       enum verdict *verdict, struct error *err)
{
    struct sight sight;

    *verdict = VERDICT_OURS;
    for (const char *turn = TURNS; *turn != '\0'; turn++) {
        struct side *self = *turn == 'A' ? a : b;
        struct side *other = *turn == 'A' ? b : a;
        if (strlen(turn) == 2 && !nap(a->session, SETTLE_MS, err)) {
            return false;
        }
        if (!look(self, other, deadline, &sight, err)) {
            return self == b && b->pid == 0 ? report_second(deadline, err) : false;
        }
        bool moved = self->pid != 0 && sight.pid != self->pid;
        bool used = other->pid != 0 && !sight.hidden && !sight.own;
        if (moved || used || sight.pid == other->pid) {
            *verdict = VERDICT_SHARED;
            return true;
        }
        if (other->pid != 0 && sight.hidden) {
            *verdict = VERDICT_HIDDEN;
        }
        self->pid = sight.pid;
    }
    return true;
}

/* The other one has gone: does its process forget it? */
static bool watch_reset(struct side *self, const struct side *gone, enum verdict *verdict,
                        struct error *err)
{
    struct deadline end = deadline_for(self->session, RESET_LIMIT_MS);
    int64_t pause_ms = 1;
    struct sight sight;

    for (;;) {
        struct deadline answer = deadline_for(self->session, RESET_LIMIT_MS);
        if (!look(self, gone, &answer, &sight, err)) {
            return false;
        }
        if (sight.pid != self->pid) {
            *verdict = VERDICT_SHARED;
        } else if (sight.gone || sight.was_reset) {
            *verdict = VERDICT_OURS;
        } else if (!sight.own) {
            *verdict = VERDICT_OVERTAKEN;
        } else if (deadline_left_ms(&end) == 0) {
            *verdict = VERDICT_UNCLEAN;
        } else {
            if (!nap(self->session, pause_ms, err)) {
                return false;
            }
            pause_ms = pause_ms * 2 < LONGEST_NAP_MS ? pause_ms * 2 : LONGEST_NAP_MS;
            continue;
        }
        return true;
    }
}

static bool try_once(struct side *self, const struct deadline *deadline, enum verdict *verdict,
                     struct error *err)
{
    struct side second = {.session = NULL};

    if (!session_open_again(self->session, deadline, &second.session, err)) {
        return report_second(deadline, err);
    }
    bool ok = watch_both(self, &second, deadline, verdict, err);
    session_close(second.session);
    return ok && *verdict == VERDICT_OURS ? watch_reset(self, &second, verdict, err) : ok;
}

static bool report(enum verdict verdict, struct error *err)
{
    switch (verdict) {
    case VERDICT_OURS:
        return true;
    case VERDICT_SHARED:
        error_set(err, ERROR_CONFIG,
                  "the connection pooler there gives each transaction any server connection that "
                  "is free: the lock against a second backup would mean nothing, and settings "
                  "would reach other clients");
        return error_hint(err, WAY_OUT ", or use a pool in session mode");
    case VERDICT_UNCLEAN:
        error_set(err, ERROR_CONFIG,
                  "the connection pooler there does not reset a server connection when its client "
                  "has gone: the lock of a backup that died would stay taken");
        return error_hint(err, WAY_OUT ", or use a pool in session mode with server_reset_query = "
                                       "DISCARD ALL");
    case VERDICT_HIDDEN:
        error_set(err, ERROR_CONFIG,
                  "there is a connection pooler, and whether it leaves each client a server "
                  "connection of its own cannot be seen in pg_stat_activity: track_activities is "
                  "off, or the pooler leads to several servers");
        return error_hint(err, WAY_OUT ", or set track_activities = on");
    case VERDICT_OVERTAKEN:
        break;
    }
    error_set(err, ERROR_FAILED,
              "there is a connection pooler, and whether it resets a server connection when its "
              "client has gone could not be seen: others took them too soon");
    err->retryable = true;
    return error_hint(err, "try again, give the pool more connections, or " WAY_OUT);
}

static bool place(const struct session *session, struct error *err)
{
    const char *host = PQhost(session->connection);
    const char *port = PQport(session->connection);

    return error_prefix(err, "connecting to Postgres at %s, port %s", host != NULL ? host : "?",
                        port != NULL ? port : "?");
}

bool pooler_examine(struct session *session, int64_t limit_ms, int64_t *pid, struct error *err)
{
    struct deadline deadline = deadline_for(session, limit_ms);
    struct side self = {.session = session};
    enum verdict verdict = VERDICT_OVERTAKEN;
    int64_t usual_limit_ms = session->limit_ms;
    bool ok = true;

    for (int i = 0; ok && verdict == VERDICT_OVERTAKEN && i < MOST_TRIES; i++) {
        ok = try_once(&self, &deadline, &verdict, err);
    }
    session->limit_ms = usual_limit_ms;
    if (!ok || !report(verdict, err)) {
        return place(session, err);
    }
    *pid = self.pid;
    return true;
}

bool pooler_refuse(struct session *session, struct error *err)
{
    report(VERDICT_SHARED, err);
    return place(session, err);
}
