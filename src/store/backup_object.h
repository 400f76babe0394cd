/*
 * What an object of a store says about the backup in it: its name and its metadata, taken apart.
 *
 * Names: rythm-backup-YYYY-MM-DDTHH-MM-SS-mmmZ.sql[.zst|.gz]. The old service wrote
 * rythm-backup-....sql, with '-' or ':' and '.' in the time, and no metadata: such an object is a
 * backup too (`legacy`). Anything else is not ours and is never touched (I6). The metadata are the
 * truth about what exists: the ledger may have been rewound by a restore.
 */
#ifndef STORE_BACKUP_OBJECT_H
#define STORE_BACKUP_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "store/backup_schemas.h"
#include "store/metadata.h"
#include "store/objects.h"

#define BACKUP_NAME_PREFIX "rythm-backup-"
#define BACKUP_NAME_SIZE   80
#define BACKUP_RUN_ID_SIZE 17    /* 16 hex digits */
#define BACKUP_RUN_KEY     "run" /* of the run id in the metadata */
#define BACKUP_UUID_SIZE   37

/* The name of a backup begun at this instant; `suffix` is compression_suffix(). */
void backup_name_format(char out[BACKUP_NAME_SIZE], int64_t begun_ms, const char *suffix);
/* True for a backup's name, the old service's forms included; gives the instant in it. */
bool backup_name_parse(const char *name, int64_t *begun_ms);

struct backup_facts {
    char run_id[BACKUP_RUN_ID_SIZE];
    char schedule_id[BACKUP_UUID_SIZE]; /* "" for a backup that belongs to none */
    bool has_occurrence;
    int64_t occurrence_ms;
    char type[16]; /* "scheduled" or "manual" */
    char database[64 * 4 + 1];
    bool of_all_databases; /* one of a run of all the databases of its server */
    /* The ledger that knows the run: its database, and its server's system identifier. */
    char ledger[64 * 4 + 1];
    char system[24];
    /* What was dumped of the database: the system identifier of its server, and which part
     * (backup_schemas_identify()), or "" for all. Older backups have neither. */
    char source[24];
    char schemas[BACKUP_SCHEMAS_SIZE];
    char server_version[32];
    char tool_version[32];
    char compression[16];
    char engine[16]; /* "parallel" or "pg_dump"; "" where it was not recorded */
    bool has_rows;   /* tables and rows are known */
    uint64_t tables;
    uint64_t rows;
    uint64_t bytes; /* of the object: one whose length differs is not a backup of ours */
    uint64_t raw_bytes;
    int64_t duration_ms;
    char sha256[65]; /* of the object's bytes, hex */
    /* Of its manifest's bytes; "" where there is none, and in older backups, and in the manifest's
     * own metadata, which are the backup's. */
    char manifest_sha256[65];
};

/* Reads an instant as clock_format_iso() writes it. */
bool backup_instant_parse(const char *string, int64_t *instant_ms);

/* Text that is not printable ASCII (a database's name) is percent-encoded in the metadata. */
bool backup_facts_format(const struct backup_facts *facts, struct metadata *out, struct error *err);

/* False when they do not say what a backup's must (a run id, a sha256, sane numbers). *facts starts
 * empty. */
bool backup_facts_parse(const struct metadata *metadata, struct backup_facts *facts);

struct backup_object {
    const struct object *object; /* borrowed */
    int64_t begun_ms;            /* from the name */
    bool legacy;                 /* the old service's: no metadata */
    struct backup_facts facts;
};

/* Does the object bear the id of this run, whatever else it says? */
bool backup_object_has_run(const struct object *object, const char *run_id);

/* False, without an error, when the object is not a backup of ours: its name is another kind, or
 * its metadata do not say what a backup's must (a run id, a sha256, sane numbers). */
bool backup_object_parse(const struct object *object, struct backup_object *out);

/* The media type for a name: by .zst and .gz, else octets. */
const char *backup_object_media_type(const char *name);

#endif
