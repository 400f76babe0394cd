#include "backup/backup_choice.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"

#define OF_SCHEDULE BACKUP_CHOICE_LATEST ":"
/* Bytes of SCHEDULE/DATABASE. */
#define OF_MOST (SCHEDULE_NAME_SIZE + 64 * 4)
/* Bytes of a wrong name that are told. */
#define SHOWN 100

/* What is looked for, and what went wrong meanwhile. */
struct search {
    const char *wanted;
    bool by_name;
    char schedule_id[OF_MOST]; /* of the latest one; "": of any */
    const char *database;      /* of the latest one; NULL: of any */
    bool is_default;           /* the old service's belong to that schedule */
    /* Which part of a database is wanted first: what the schedule asks for, or all of it. */
    char part[BACKUP_SCHEMAS_SIZE];
    struct error damaged;    /* found, but not whole; of the latest ones the newest such */
    int64_t damaged_ms;      /* when that one was begun, by its name */
    struct error unanswered; /* of the first store that did not answer */
};

static bool hint_names(struct error *err)
{
    return error_hint(err, "'rythm-backup list' shows the backups");
}

static bool names_schedule(const char *wanted)
{
    return strncmp(wanted, OF_SCHEDULE, strlen(OF_SCHEDULE)) == 0;
}

bool backup_choice_check(const char *wanted, struct error *err)
{
    int64_t begun_ms;

    if (names_schedule(wanted)) {
        const char *name = wanted + strlen(OF_SCHEDULE);
        return (*name != '\0' && *name != '/' && strlen(name) < OF_MOST) ||
               error_set(err, ERROR_USAGE,
                         "'%.*s' names no schedule: write " OF_SCHEDULE "SCHEDULE, by its name or "
                         "id, or " OF_SCHEDULE "SCHEDULE/DATABASE",
                         SHOWN, wanted);
    }
    if (strcmp(wanted, BACKUP_CHOICE_LATEST) == 0 || backup_name_parse(wanted, &begun_ms)) {
        return true;
    }
    error_set(err, ERROR_USAGE,
              "'%.*s' is no backup's name: write one as "
              "rythm-backup-2031-05-06T02-00-00-000Z.sql.zst, or " BACKUP_CHOICE_LATEST
              ", or " OF_SCHEDULE "SCHEDULE",
              SHOWN, wanted);
    return hint_names(err);
}

static const struct schedule *find_schedule(const struct search *search,
                                            const struct schedules *schedules)
{
    return schedules != NULL ? backup_schedule_find(schedules, search->schedule_id) : NULL;
}

/* A schedule's name may have a '/' in it, and so may a database's: the longest name that is a
 * schedule's counts. Where none is known it is an id, which has none. */
static const struct schedule *split(struct search *search, const struct schedules *schedules)
{
    const char *of = search->wanted + strlen(OF_SCHEDULE);
    size_t length = strlen(of);

    for (;;) {
        snprintf(search->schedule_id, sizeof(search->schedule_id), "%.*s", (int)length, of);
        search->database = of[length] == '/' ? of + length + 1 : NULL;
        const struct schedule *schedule = find_schedule(search, schedules);
        const char *slash = memrchr(of, '/', length);
        if (schedule != NULL || slash == NULL) {
            return schedule;
        }
        length = (size_t)(slash - of);
    }
}

/* An id that no row has may be that of a schedule which was removed. */
static bool choose_schedule(struct search *search, const struct schedules *schedules,
                            struct error *err)
{
    if (!names_schedule(search->wanted)) {
        return true;
    }
    const struct schedule *schedule = split(search, schedules);
    if (schedule == NULL) {
        return true;
    }
    snprintf(search->schedule_id, sizeof(search->schedule_id), "%s", schedule->id);
    search->is_default = schedule->is_default;
    return backup_schemas_identify(&schedule->scope, search->part, err);
}

static bool belongs(const struct search *search, const struct backup_object *backup)
{
    if (search->schedule_id[0] == '\0') {
        return true;
    }
    if (search->database != NULL && strcmp(search->database, backup->facts.database) != 0) {
        return false;
    }
    return backup->legacy ? search->is_default
                          : strcasecmp(backup->facts.schedule_id, search->schedule_id) == 0;
}

/* Moves the object there. */
static void take(struct store *store, struct object *object, struct backup_choice *out)
{
    object_clear(&out->object);
    out->store = store;
    out->object = *object;
    *object = (struct object)OBJECT_INIT;
    backup_object_parse(&out->object, &out->backup);
}

/* One that holds some tables alone does not stand for the whole, however new it is. */
static bool is_better(const struct search *search, const struct backup_object *one,
                      const struct backup_object *other)
{
    bool fits = strcmp(one->facts.schemas, search->part) == 0;

    return fits == (strcmp(other->facts.schemas, search->part) == 0)
               ? one->begun_ms > other->begun_ms
               : fits;
}

static void note_damaged(struct search *search, const struct store *store,
                         const struct object *object)
{
    int64_t begun_ms;

    if (!backup_name_parse(object->name, &begun_ms) ||
        (search->damaged.kind != ERROR_NONE && begun_ms < search->damaged_ms)) {
        return;
    }
    search->damaged_ms = begun_ms;
    error_set(&search->damaged, ERROR_FAILED,
              "%s in %s is not whole: its length or its metadata are not a backup's", object->name,
              store->location);
}

/* Keeps the newest one, of stores that were asked before, too. */
static bool find_latest(struct search *search, struct store *store, struct backup_choice *out,
                        struct error *err)
{
    struct objects objects = OBJECTS_INIT;
    struct object *newest = NULL;
    struct backup_object best = out->backup;
    bool any = out->store != NULL;

    if (!store_list(store, BACKUP_NAME_PREFIX, &objects, err)) {
        return false;
    }
    for (size_t i = 0; i < objects.count; i++) {
        struct backup_object backup;
        if (!backup_object_parse(&objects.items[i], &backup)) {
            note_damaged(search, store, &objects.items[i]);
        } else if (belongs(search, &backup) && (!any || is_better(search, &backup, &best))) {
            newest = &objects.items[i];
            best = backup;
            any = true;
        }
    }
    if (newest != NULL) {
        take(store, newest, out);
    }
    objects_clear(&objects);
    return true;
}

static bool find_name(struct search *search, struct store *store, struct backup_choice *out,
                      struct error *err)
{
    struct object object = OBJECT_INIT;
    struct backup_object backup;
    bool found = false;

    if (!store_head(store, search->wanted, &object, &found, err)) {
        return false;
    }
    if (found && backup_object_parse(&object, &backup)) {
        take(store, &object, out);
    } else if (found) {
        note_damaged(search, store, &object);
    }
    object_clear(&object);
    return true;
}

/* The first that has the name ends the search; of the latest one every store knows its own. */
static bool ask_stores(struct search *search, const struct store_pool *stores,
                       struct backup_choice *out, struct error *err)
{
    for (size_t i = 0; i < stores->count && !(search->by_name && out->store != NULL); i++) {
        struct store *store = stores->items[i];
        struct error problem = ERROR_INIT;
        if (search->by_name ? find_name(search, store, out, &problem)
                            : find_latest(search, store, out, &problem)) {
            continue;
        }
        error_prefix(&problem, "looking for %s in %s", search->wanted, store->location);
        if (problem.kind == ERROR_STOPPED) {
            *err = problem;
            return false;
        }
        if (search->unanswered.kind == ERROR_NONE) {
            search->unanswered = problem;
        } else {
            log_warning("store_not_asked", "A store was left out: %s", problem.text);
        }
    }
    return true;
}

static bool report_none(const struct search *search, bool schedules_known, struct error *err)
{
    if (search->unanswered.kind != ERROR_NONE) {
        *err = search->unanswered;
        return false;
    }
    if (search->damaged.kind != ERROR_NONE) {
        *err = search->damaged;
        return false;
    }
    if (search->by_name) {
        error_set(err, ERROR_USAGE, "there is no backup '%s'", search->wanted);
    } else if (search->schedule_id[0] == '\0') {
        error_set(err, ERROR_USAGE, "there is no backup yet");
    } else if (search->database != NULL) {
        const char *of = search->wanted + strlen(OF_SCHEDULE);
        error_set(err, ERROR_USAGE, "there is no backup of database '%s' by schedule '%.*s'",
                  search->database, (int)(search->database - of - 1), of);
    } else {
        error_set(err, ERROR_USAGE, "there is no backup of a schedule '%s'",
                  search->wanted + strlen(OF_SCHEDULE));
        if (!schedules_known) {
            error_hint(err, "the database does not answer, so give the schedule's id: its name is "
                            "known there alone");
        }
    }
    return hint_names(err);
}

/* The latest of all databases is that of one which only the order of their names has chosen. */
static bool check_database(const struct search *search, const struct schedules *schedules,
                           const struct backup_choice *choice, struct error *err)
{
    const struct backup_facts *facts = &choice->backup.facts;

    if (search->by_name || search->database != NULL || !facts->of_all_databases) {
        return true;
    }
    const struct schedule *schedule =
        schedules != NULL ? backup_schedule_find(schedules, facts->schedule_id) : NULL;
    error_set(err, ERROR_USAGE,
              "the latest backup is one of all databases, each by itself: say which database is "
              "meant");
    return error_hint(err, "write " OF_SCHEDULE "%s/DATABASE; 'rythm-backup list' shows them",
                      schedule != NULL ? schedule->name : facts->schedule_id);
}

bool backup_choice_find(const struct store_pool *stores, const struct schedules *schedules,
                        const char *wanted, struct backup_choice *out, struct error *err)
{
    int64_t begun_ms;
    struct search search = {
        .wanted = wanted,
        .by_name = backup_name_parse(wanted, &begun_ms),
        .damaged = ERROR_INIT,
        .unanswered = ERROR_INIT,
    };

    *out = (struct backup_choice){.object = OBJECT_INIT};
    if (!backup_choice_check(wanted, err)) {
        return false;
    }
    if (!choose_schedule(&search, schedules, err) || !ask_stores(&search, stores, out, err)) {
        return false;
    }
    if (out->store == NULL) {
        return report_none(&search, schedules != NULL, err);
    }
    if (!check_database(&search, schedules, out, err)) {
        return false;
    }
    if (search.unanswered.kind != ERROR_NONE) {
        out->unasked = true;
        log_warning("store_not_asked", "A store was left out: %s", search.unanswered.text);
    }
    if (search.damaged.kind != ERROR_NONE && search.damaged_ms > out->backup.begun_ms) {
        out->passed_over = true;
        log_warning("not_a_backup", "A newer backup was passed over: %s", search.damaged.text);
    }
    return true;
}

/* Those behind it in the pool: the ones before have been asked. */
static size_t index_behind(const struct store_pool *stores, const struct store *store)
{
    size_t index = 0;

    while (index < stores->count && stores->items[index] != store) {
        index++;
    }
    return index + 1;
}

static bool is_same(const struct backup_object *one, const struct backup_object *other)
{
    return one->legacy == other->legacy && strcmp(one->facts.run_id, other->facts.run_id) == 0;
}

bool backup_choice_next(const struct store_pool *stores, struct backup_choice *choice, bool *found,
                        struct error *err)
{
    *found = false;
    for (size_t i = index_behind(stores, choice->store); !*found && i < stores->count; i++) {
        struct store *store = stores->items[i];
        struct object object = OBJECT_INIT;
        struct backup_object backup;
        struct error problem = ERROR_INIT;
        bool there = false;
        bool ok = store_head(store, choice->object.name, &object, &there, &problem);
        *found = ok && there && backup_object_parse(&object, &backup) &&
                 is_same(&backup, &choice->backup);
        if (*found) {
            take(store, &object, choice);
        } else if (!ok && problem.kind == ERROR_STOPPED) {
            *err = problem;
            return false;
        } else if (!ok) {
            choice->unasked = true;
            log_warning("store_not_asked", "A store was left out: %s", problem.text);
        }
        object_clear(&object);
    }
    return true;
}

bool backup_choice_is_at_fault(const struct backup_choice *choice, const struct error *problem)
{
    bool read_failed = atomic_exchange(&choice->store->read_failed, false);

    return problem->kind == ERROR_DAMAGED || (read_failed && problem->kind != ERROR_STOPPED);
}

void backup_choice_clear(struct backup_choice *choice)
{
    object_clear(&choice->object);
    *choice = (struct backup_choice){.object = OBJECT_INIT};
}
