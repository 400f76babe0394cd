#include "schedule/adoption.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "postgres/backup_history.h"
#include "store/manifest.h"

#define DAY_MS INT64_C(86400000)
/* A run that begins later than this after its occurrence is no run of ours. */
#define DAYS_MOST 400

static bool is_own(const struct backup_object *backup, const struct ledger *ledger)
{
    return !backup->legacy && strcmp(backup->facts.ledger, ledger->database) == 0 &&
           strcmp(backup->facts.system, ledger->system) == 0;
}

/* Where found backups are recorded. */
struct book {
    struct session *session;
    const struct ledger *ledger;
    struct store *store;
    const struct claim *claim; /* whose row may become that of a found backup, or NULL */
    bool covered;              /* it has */
};

static bool is_claimed(const struct book *book, const struct backup_facts *facts)
{
    const struct claim *claim = book->claim;

    return claim != NULL && !book->covered && claim->has_occurrence && facts->has_occurrence &&
           facts->occurrence_ms == claim->occurrence_ms &&
           strcmp(facts->schedule_id, claim->schedule_id) == 0 &&
           (claim->one_of_all[0] == '\0' || strcmp(facts->database, claim->one_of_all) == 0);
}

/* *good: the store confirms it. That the store could not say is the same as a listing that failed,
 * where the run about to begin would make a second backup of the occurrence (I1). */
static bool confirm(const struct book *book, const struct backup_object *backup, bool *good,
                    struct error *err)
{
    struct error problem = ERROR_INIT;
    const char *run_id = backup->facts.run_id;
    const char *reason = "the store has other bytes than its run sent";

    if (!store_confirm(book->store, backup->object, run_id, good, &problem)) {
        if (is_claimed(book, &backup->facts)) {
            *err = problem;
            return false;
        }
        *good = false;
        reason = problem.text;
    }
    if (!*good) {
        log_warning("backup_not_adopted",
                    "Backup %s is not in backup_history and was not recorded there: %s",
                    backup->object->name, reason);
    }
    return true;
}

/* *recorded is false when the ledger has another row in its place. */
static bool write_row(struct book *book, const struct backup_object *backup, bool *recorded,
                      struct error *err)
{
    const struct backup_facts *facts = &backup->facts;
    char ledger[LEDGER_TEXT_SIZE];
    struct history_found found = {
        .start = {.run_id = facts->run_id,
                  .name = backup->object->name,
                  .schedule_id = facts->schedule_id[0] != '\0' ? facts->schedule_id : NULL,
                  .of_all_databases = facts->of_all_databases,
                  .scheduled = strcmp(facts->type, "scheduled") == 0,
                  .has_occurrence = facts->has_occurrence,
                  .occurrence_ms = facts->occurrence_ms,
                  .attempt = 1,
                  .store = book->store->location,
                  .ledger = ledger},
        .result = claim_result_of(facts),
        .database = facts->database,
        .begun_ms = backup->begun_ms,
    };

    ledger_format(ledger, book->ledger);
    if (!is_claimed(book, facts)) {
        return backup_history_record_found(book->session, &found, recorded, err);
    }
    book->covered = backup_history_become_found(book->session, book->claim->run_id, &found, err);
    *recorded = book->covered;
    return book->covered;
}

static bool record(struct book *book, const struct backup_object *backup, struct error *err)
{
    bool good = false;
    bool recorded = false;

    if (!confirm(book, backup, &good, err) || (good && !write_row(book, backup, &recorded, err))) {
        return false;
    }
    if (recorded) {
        log_write(&LOG_WITH(LOG_WARNING, LOG_MARK_WARNING, "backup_adopted",
                            LOG_TEXT("name", backup->object->name),
                            LOG_TEXT("run_id", backup->facts.run_id)),
                  "Backup %s is in the store and was not in backup_history (was the database "
                  "restored?): recorded there again",
                  backup->object->name);
    }
    return true;
}

static bool has_run(const struct backup_object *backups, size_t count, const char *run_id)
{
    for (size_t i = 0; i < count; i++) {
        if (!backups[i].legacy && strcmp(backups[i].facts.run_id, run_id) == 0) {
            return true;
        }
    }
    return false;
}

/* A process that stood still so long that another one took its run for dead, and that died itself
 * as soon as it had published after all: what it published is one too many (invariant I1). */
static void withdraw(struct book *book, const struct backup_object *backup)
{
    struct error problem = ERROR_INIT;
    enum store_removal removal = STORE_CHANGED;
    const char *name = backup->object->name;

    if (!manifest_remove_backup(book->store, backup->object, &removal, &problem)) {
        log_warning("backup_not_withdrawn",
                    "Backup %s, a second one of its time, was not removed: %s", name, problem.text);
    } else if (removal == STORE_REMOVED) {
        log_write(
            &LOG_WITH(LOG_WARNING, LOG_MARK_WARNING, "backup_withdrawn", LOG_TEXT("name", name),
                      LOG_TEXT("run_id", backup->facts.run_id)),
            "Removed backup %s: its run was taken for dead, and another one made the backup of "
            "that time",
            name);
    }
}

static bool record_all(struct book *book, const struct backup_object *backups, size_t count,
                       struct error *err)
{
    const char **runs = calloc(count + 1, sizeof(*runs));
    struct history_standing *standings = calloc(count + 1, sizeof(*standings));
    bool ok = runs != NULL && standings != NULL ? true : error_set_memory(err);

    for (size_t i = 0; ok && i < count; i++) {
        runs[i] = is_own(&backups[i], book->ledger) ? backups[i].facts.run_id : NULL;
    }
    ok = ok && backup_history_compare(book->session, runs, count, standings, err);
    /* Once nothing is left to run, the rest can wait for the listing after another run. */
    for (size_t i = 0; ok && !book->covered && i < count; i++) {
        if (standings[i].unknown) {
            ok = record(book, &backups[i], err);
        } else if (standings[i].superseded_by[0] != '\0' &&
                   has_run(backups, count, standings[i].superseded_by)) {
            withdraw(book, &backups[i]);
        }
    }
    free(runs);
    free(standings);
    return ok ? true : error_prefix(err, "comparing the store with backup_history");
}

bool adoption_record(struct session *session, const struct ledger *ledger, struct store *store,
                     const struct backup_object *backups, size_t count, struct error *err)
{
    struct book book = {.session = session, .ledger = ledger, .store = store};

    return record_all(&book, backups, count, err);
}

static bool record_objects(struct book *book, const struct objects *objects, struct error *err)
{
    struct backup_object *backups = calloc(objects->count + 1, sizeof(*backups));
    size_t count = 0;

    if (backups == NULL) {
        return error_set_memory(err);
    }
    for (size_t i = 0; i < objects->count; i++) {
        count += backup_object_parse(&objects->items[i], &backups[count]);
    }
    bool ok = record_all(book, backups, count, err);
    free(backups);
    return ok;
}

bool adoption_before_run(struct claim *claim, struct store *store, bool *covered, struct error *err)
{
    struct book book = {
        .session = claim->session, .ledger = &claim->ledger, .store = store, .claim = claim};
    bool ok = true;
    int64_t last = claim->begun_ms / DAY_MS;
    int64_t first = claim->occurrence_ms / DAY_MS;

    if (first < last - DAYS_MOST) {
        first = last - DAYS_MOST;
    }
    for (int64_t day = first; ok && !book.covered && day <= last; day++) {
        struct objects objects = OBJECTS_INIT;
        char instant[CLOCK_ISO_SIZE];
        char prefix[BACKUP_NAME_SIZE];

        clock_format_iso(instant, day * DAY_MS);
        snprintf(prefix, sizeof(prefix), BACKUP_NAME_PREFIX "%.10s", instant);
        ok = store_list(store, prefix, &objects, err) ||
             error_prefix(err, "listing the backups of %.10s in %s", instant, store->location);
        ok = ok && record_objects(&book, &objects, err);
        objects_clear(&objects);
    }
    *covered = book.covered;
    return ok;
}
