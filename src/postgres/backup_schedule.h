/*
 * The table backup_schedule, which the application owns and its admin page edits.
 */
#ifndef POSTGRES_BACKUP_SCHEDULE_H
#define POSTGRES_BACKUP_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/scope.h"
#include "postgres/session.h"

#define SCHEDULE_ID_SIZE   37
#define SCHEDULE_NAME_SIZE 256

/* The states of rythm_backup_schedules(), migrations/102: what each means is written there. */
enum schedule_state {
    SCHEDULE_DISABLED,
    SCHEDULE_INVALID,
    SCHEDULE_WAITING,
    SCHEDULE_MISSED,
    SCHEDULE_GUARDED,
    SCHEDULE_RETRY,
    SCHEDULE_EXHAUSTED,
    SCHEDULE_DUE,
};

struct schedule {
    char id[SCHEDULE_ID_SIZE];
    char name[SCHEDULE_NAME_SIZE]; /* for people; its id where it has no name */
    bool is_named;
    bool enabled;
    bool is_default;               /* the oldest row: the old service's objects belong to it */
    char frequency[16];            /* "hourly", "daily", "weekly", "monthly" */
    char time[16];                 /* "02:00", in zone */
    char days[256];                /* "{1,-1}", or "" */
    char zone[128];                /* "UTC", "Europe/Stockholm" */
    char catch_up[64];             /* of its own, as Postgres writes an interval; or "" */
    char tenant[SCHEDULE_ID_SIZE]; /* or "" */
    int64_t retention_days;
    int64_t keep_last; /* 0: no such rule; so are those below */
    int64_t keep_daily;
    int64_t keep_weekly;
    int64_t keep_monthly;
    int64_t keep_yearly;
    int64_t verify_every; /* each backup of so many is verified; 0: none is */
    char *dbname;         /* dump this database of the same server, or NULL; of all: see there */
    char *service;        /* dump what this libpq service names, or NULL */
    bool all_databases;   /* dump every one of this server; it is the turn of dbname */
    struct scope scope;   /* of the database */
    char *stores;         /* where its backups go, or NULL: where the settings say */
    /* Who is told of them and of what, in words that end with NULL; NULL: as the settings say, and
     * of success and failure. */
    char **notify_channels;
    char **notify_on;

    bool has_occurrence; /* false only when the row is invalid */
    int64_t occurrence_ms;
    int64_t next_ms;
    int64_t attempt; /* the number of the attempt that would be made now, from 1 */
    enum schedule_state state;
    char problem[256]; /* what is wrong in the row, or "" */
};

struct schedules {
    struct schedule *items; /* by occurrence, oldest first */
    size_t count;
    int64_t now_ms; /* the server's clock, shifted as --now asks */
};

/* More rows than this are refused. */
#define SCHEDULES_MOST 20000

/* Every schedule as it stands now, in one query. The caller clears it. */
bool backup_schedule_read(struct session *session, int64_t catch_up_s, struct schedules *out,
                          struct error *err);
/* The same of the one with this id; none when it is gone. */
bool backup_schedule_read_one(struct session *session, int64_t catch_up_s, const char *id,
                              struct schedules *out, struct error *err);
void backup_schedule_clear(struct schedules *schedules);

/* The schedule of this id or name, or NULL. */
const struct schedule *backup_schedule_find(const struct schedules *schedules, const char *name);

/* The databases that a schedule of all of them dumps now, sorted; the caller frees the list
 * (text_list_free()). */
bool backup_schedule_read_databases(struct session *session, char ***out, struct error *err);

/* Whether both rows ask for the same backup: of the same, to the same store. */
bool backup_schedule_is_alike(const struct schedule *one, const struct schedule *other);

/* "due", "waiting", ... as in SQL. */
const char *backup_schedule_state_name(enum schedule_state state);

#endif
