#include "backup/copying.h"

#include <inttypes.h>
#include <string.h>

#include "backup/copy_attempt.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/stop.h"
#include "base/thread.h"
#include "base/wait.h"
#include "base/watched_thread.h"
#include "postgres/backup_copies.h"

/* Of one tick. One that was begun is seen through. */
#define COPIES_MOST 16
#define COPYING_MS  (5 * 60 * 1000)
#define LOOK_MS     200 /* at the thread, and for a stop */

/* False when a file system has not moved for so long, or a stop was requested while it was turned
 * to. A service's requests have deadlines of their own, and hear a stop. */
static bool wait_for_end(struct watched_thread *thread, const struct store_watch *watch,
                         int64_t stall_ms)
{
    uint_fast64_t steps = 0;
    int64_t moved_ms = clock_monotonic_ms();

    while (!watched_thread_has_ended(thread, LOOK_MS)) {
        const struct store *at = atomic_load(&watch->at);
        uint_fast64_t now = atomic_load(&watch->steps);
        bool may_hang = at != NULL && !at->is_remote;
        if (now != steps || !may_hang) {
            steps = now;
            moved_ms = clock_monotonic_ms();
        }
        if (may_hang && (stop_signal() != 0 || clock_monotonic_ms() - moved_ms >= stall_ms)) {
            return false;
        }
    }
    return true;
}

/* The thread's own session has the lock until the process ends. */
static bool note_hanging(const struct copying *copying, const struct copy_attempt *attempt,
                         int64_t stall_ms, struct error *err)
{
    const struct store *at = atomic_load(&copying->stores->watch.at);
    struct session *session = NULL;
    struct error problem = ERROR_INIT;

    if (!stop_check(err)) {
        return false;
    }
    error_set(err, ERROR_FAILED, "store %s hangs: nothing has moved there for %" PRId64 " s",
              at->location, stall_ms / 1000);
    error_hint(err, "see whether its file system answers");
    if (!session_open(copying->session, &session, &problem) ||
        !copy_attempt_note_failed(attempt, session, err, &problem)) {
        log_warning("ledger_not_written", "%s", problem.text);
    }
    session_close(session);
    return false;
}

/* Frees the attempt, unless it was left behind. */
static bool watch(const struct copying *copying, struct copy_attempt *attempt, struct error *err)
{
    int64_t stall_ms = settings_get_number(copying->settings, SETTING_STALL_TIMEOUT) * 1000;
    struct watched_thread *thread = NULL;

    atomic_store(&copying->stores->watch.at, NULL);
    bool ok = watched_thread_start(copy_attempt_run, attempt, &thread, err);

    if (ok && wait_for_end(thread, &copying->stores->watch, stall_ms)) {
        watched_thread_join(thread);
    } else if (ok) {
        copy_attempt_give_up(attempt);
        if (!watched_thread_end(thread)) {
            return note_hanging(copying, attempt, stall_ms, err);
        }
    }
    ok = ok && copy_attempt_result(attempt, err);
    copy_attempt_free(attempt);
    return ok;
}

static bool run_one(const struct copying *copying, const struct copy_row *row, struct error *err)
{
    const struct copy_attempt_options options = {
        .settings = copying->settings,
        .ledger = copying->session,
        .stores = copying->stores,
        .row = row,
        .schedules = copying->schedules,
    };
    struct copy_attempt *attempt = NULL;

    return copy_attempt_new(&options, &attempt, err) && watch(copying, attempt, err);
}

static bool read_due(const struct copying *copying, struct copy_rows *rows, struct error *err)
{
    struct session *session = NULL;
    bool ok = session_open(copying->session, &session, err) &&
              backup_copies_read_due(session, COPIES_MOST, rows, err);

    session_close(session);
    return ok;
}

/* What hangs or refuses for one copy does so for the next one, too. */
static bool has_failed(const struct copy_rows *rows, const bool failed[], size_t before)
{
    for (size_t i = 0; i < before; i++) {
        if (failed[i] && strcmp(rows->items[i].store, rows->items[before].store) == 0) {
            return true;
        }
    }
    return false;
}

bool copying_run(const struct copying *copying, size_t *failed, struct error *err)
{
    struct copy_rows rows = {.items = NULL};
    struct deadline end = deadline_in_ms(COPYING_MS);
    bool failures[COPIES_MOST] = {false};

    *failed = 0;
    bool ok = read_due(copying, &rows, err);
    for (size_t i = 0;
         ok && i < rows.count && deadline_left_ms(&end) > 0 && !thread_is_left_behind(); i++) {
        struct error problem = ERROR_INIT;
        if (has_failed(&rows, failures, i) || run_one(copying, &rows.items[i], &problem)) {
            continue;
        }
        if (problem.kind == ERROR_STOPPED) {
            *err = problem;
            ok = false;
            break;
        }
        failures[i] = true;
        ++*failed;
        log_warning("copy_failed", "Backup %s could not be copied to %s: %s", rows.items[i].name,
                    rows.items[i].store, problem.text);
    }
    backup_copies_clear(&rows);
    return ok;
}
