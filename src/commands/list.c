/* The backups that there are: what the store holds, joined with what the ledger says. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "commands/chosen_backup.h"
#include "commands/command.h"
#include "commands/context.h"
#include "commands/list_tables.h"
#include "commands/output.h"
#include "commands/store_plans.h"
#include "postgres/backup_copies.h"
#include "postgres/history_rows.h"
#include "restore/backup_source.h"
#include "store/manifest.h"

enum { OPTION_JSON };

#define OTHERS_CAP 4096

static int by_name(const void *left, const void *right)
{
    const struct history_row *a = left;
    const struct history_row *b = right;

    return strcmp(a->name, b->name);
}

/* The ledger, sorted by name, or of it only the backup of this name; *known is false, with a
 * warning, when the database does not answer: the list is what the store holds, with or without
 * it. Where copies are missing a table not yet migrated does not say. */
static void read_ledger(struct context *context, const char *name, struct history_rows *rows,
                        struct copy_rows *amiss, bool *known)
{
    struct session *session = NULL;
    struct error problem = ERROR_INIT;
    struct error ignored = ERROR_INIT;

    *known = context_connect(context, &session, &problem) &&
             (name != NULL ? history_rows_find(session, name, rows, &problem)
                           : history_rows_read_all(session, rows, &problem));
    if (*known) {
        backup_copies_read_amiss(session, amiss, &ignored);
    }
    session_close(session);
    if (!*known) {
        log_warning("ledger_not_read", "The list is what the store holds, without the ledger: %s",
                    problem.text);
        return;
    }
    if (rows->count > 0) {
        qsort(rows->items, rows->count, sizeof(*rows->items), by_name);
    }
}

static const struct history_row *find_row(const struct history_rows *rows, const char *name)
{
    struct history_row key = {.attempt = 0};
    size_t length = strlen(name);

    if (rows->count == 0 || length >= sizeof(key.name)) {
        return NULL;
    }
    memcpy(key.name, name, length + 1);
    return bsearch(&key, rows->items, rows->count, sizeof(*rows->items), by_name);
}

static bool add_verification(json_t *object, const struct history_row *row)
{
    static const struct history_row none = {.verification = VERIFICATION_NONE};
    const struct history_row *known = row != NULL ? row : &none;

    json_t *added = json_pack(
        "{s:o, s:o, s:o, s:o}", "verified_at",
        output_json_instant(known->verification == VERIFICATION_GOOD, known->verification_ms),
        "verified_rows",
        output_json_count(known->has_verified_rows, (uint64_t)known->verified_rows),
        "verify_failed_at",
        output_json_instant(known->verification == VERIFICATION_FAILED, known->verification_ms),
        "verify_error", output_json_text(known->verify_error));
    bool ok = added != NULL && json_object_update(object, added) == 0;
    json_decref(added);
    return ok;
}

/* stores: which have it. missing_in: where the ledger misses it. */
static bool add_places(json_t *object, json_t *stores, const struct copy_rows *amiss,
                       const char *run_id)
{
    json_t *missing = json_array();

    for (size_t i = 0; i < amiss->count; i++) {
        const struct copy_row *copy = &amiss->items[i];
        if (copy->state != COPY_DAMAGED && strcmp(copy->run_id, run_id) == 0) {
            json_array_append_new(missing, json_string(copy->store));
        }
    }
    bool ok = json_object_set_new(object, "stores", stores) == 0;
    return json_object_set_new(object, "missing_in", missing) == 0 && ok;
}

/* Takes over `stores`. */
static json_t *to_json(const struct backup_object *backup, const struct history_row *row,
                       const char *location, json_t *stores, const struct copy_rows *amiss)
{
    const struct backup_facts *facts = &backup->facts;

    json_t *object = json_pack(
        "{s:o, s:s, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
        "s:b}",
        "name", output_json_text(backup->object->name), "store", location, "created",
        output_json_instant(true, backup->begun_ms), "bytes", (json_int_t)backup->object->bytes,
        "raw_bytes", backup->legacy ? json_null() : json_integer((json_int_t)facts->raw_bytes),
        "type", output_json_text(backup->legacy && row != NULL ? row->type : facts->type),
        "schedule", output_json_text(facts->schedule_id), "occurrence",
        output_json_instant(facts->has_occurrence, facts->occurrence_ms), "run_id",
        output_json_text(facts->run_id), "database", output_json_text(facts->database),
        "server_version", output_json_text(facts->server_version), "duration_ms",
        backup->legacy ? json_null() : json_integer(facts->duration_ms), "sha256",
        output_json_text(facts->sha256), "engine", output_json_text(facts->engine), "tables",
        output_json_count(facts->has_rows, facts->tables), "rows",
        output_json_count(facts->has_rows, facts->rows), "ledger",
        output_json_text(row != NULL ? row->status : ""), "legacy", backup->legacy);
    if (object == NULL) {
        json_decref(stores);
        return NULL;
    }
    if (!add_places(object, stores, amiss, facts->run_id) || !add_verification(object, row)) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/* The day, "failed", "-" for never, "?" where nobody can tell. */
static void format_verified(char out[CLOCK_ISO_SIZE], const struct history_row *row,
                            bool ledger_known)
{
    if (row != NULL && row->verification == VERIFICATION_GOOD) {
        clock_format_iso(out, row->verification_ms);
        out[strcspn(out, "T")] = '\0';
    } else if (row != NULL && row->verification == VERIFICATION_FAILED) {
        snprintf(out, CLOCK_ISO_SIZE, "failed");
    } else {
        snprintf(out, CLOCK_ISO_SIZE, "%s", ledger_known ? "-" : "?");
    }
}

/* What is to be printed: the stores, and the ledger. */
struct listing {
    struct store_plans stores;
    struct history_rows rows;
    struct copy_rows amiss;
    bool ledger_known;
};

/* "file:///mnt/a, azblob://account/container": the other stores that have it. */
static void format_others(struct text *out, const struct store_plans *plans, size_t number,
                          const struct backup_object *backup)
{
    for (size_t i = 0; i < plans->stores->count; i++) {
        if (i != number && prune_has_copy(&plans->items[i], backup)) {
            text_appendf(out, "%s%s", out->length > 0 ? ", " : "",
                         plans->stores->items[i]->location);
        }
    }
    if (out->length == 0) {
        text_append(out, "-");
    }
}

/* `of_all`: there is a column for the database. */
static void add_row(struct output_table *table, const struct listing *listing, size_t number,
                    const struct backup_object *backup, bool of_all)
{
    const struct history_row *row = find_row(&listing->rows, backup->object->name);
    bool ledger_known = listing->ledger_known;
    struct text others = TEXT_INIT(OTHERS_CAP);
    char size[TEXT_BYTES_SIZE];
    char created[CLOCK_ISO_SIZE];
    char duration[CLOCK_DURATION_SIZE] = "-";
    char verified[CLOCK_ISO_SIZE];
    const char *type = backup->legacy ? (row != NULL ? row->type : "-") : backup->facts.type;
    const char *status = row != NULL ? row->status : ledger_known ? "not in ledger" : "?";

    text_format_bytes(size, backup->object->bytes);
    clock_format_iso(created, backup->begun_ms);
    if (!backup->legacy) {
        clock_format_duration(duration, backup->facts.duration_ms);
    }
    format_verified(verified, row, ledger_known);
    format_others(&others, &listing->stores, number, backup);
    const char *also_in = text_string(&others);
    const char *database = backup->facts.database[0] != '\0' ? backup->facts.database : "-";
    output_table_add(table,
                     (const char *[]){backup->object->name, created, size, duration, type, status,
                                      verified, of_all ? database : also_in, also_in});
    text_clear(&others);
}

static json_t *row_json(const struct listing *listing, size_t number,
                        const struct backup_object *backup)
{
    const struct store_plans *plans = &listing->stores;
    json_t *stores = json_array();

    for (size_t i = 0; i < plans->stores->count; i++) {
        if (i == number || prune_has_copy(&plans->items[i], backup)) {
            json_array_append_new(stores, json_string(plans->stores->items[i]->location));
        }
    }
    return to_json(backup, find_row(&listing->rows, backup->object->name),
                   plans->stores->items[number]->location, stores, &listing->amiss);
}

static bool print_json(const struct listing *listing, struct error *err)
{
    json_t *list = json_array();

    for (size_t s = 0; s < listing->stores.stores->count; s++) {
        const struct prune_plan *plan = &listing->stores.items[s];
        for (size_t i = 0; list != NULL && i < plan->count; i++) {
            const struct backup_object *backup = &plan->items[i].backup;
            if (json_array_append_new(list, row_json(listing, s, backup)) != 0) {
                json_decref(list);
                list = NULL;
            }
        }
    }
    return output_json(list != NULL ? json_pack("{s:b, s:o}", "ledger_read", listing->ledger_known,
                                                "backups", list)
                                    : NULL,
                       err);
}

/* Whether the databases are what tells its backups apart. */
static bool has_some_of_all(const struct prune_plan *plan)
{
    bool found = false;

    for (size_t i = 0; i < plan->count && !found; i++) {
        found = plan->items[i].backup.facts.of_all_databases;
    }
    return found;
}

/* With several stores each has a table of its own, under its name. */
static bool print_table(const struct listing *listing, size_t number, struct error *err)
{
    const struct prune_plan *plan = &listing->stores.items[number];
    bool several = listing->stores.stores->count > 1;
    bool of_all = has_some_of_all(plan);
    struct output_table table = OUTPUT_TABLE_INIT((size_t)7 + of_all + several);
    const char *location = listing->stores.stores->items[number]->location;

    if (!plan->listed) {
        return true;
    }
    if (plan->count == 0) {
        log_info(LOG_MARK_NOTE, "no_backups", "There are no backups in %s", location);
        return true;
    }
    if (several) {
        printf("%s%s:\n", number > 0 ? "\n" : "", location);
    }
    output_table_add(&table,
                     (const char *[]){"NAME", "CREATED", "SIZE", "DURATION", "TYPE", "STATUS",
                                      "VERIFIED", of_all ? "DATABASE" : "ALSO IN", "ALSO IN"});
    for (size_t i = 0; i < plan->count; i++) {
        const struct backup_object *backup = &plan->items[i].backup;
        add_row(&table, listing, number, backup, of_all);
    }
    return output_table_print(&table, err);
}

static bool print(const struct listing *listing, bool json, struct error *err)
{
    bool ok = true;

    if (json) {
        return print_json(listing, err);
    }
    for (size_t i = 0; ok && i < listing->stores.stores->count; i++) {
        ok = print_table(listing, i, err);
    }
    return ok;
}

/* The stores that schedules name are known only while the database answers. */
static bool open_stores(struct context *context, struct listing *listing, struct error *err)
{
    struct schedules schedules = {.items = NULL};
    struct error ignored = ERROR_INIT;

    context_read_schedules(context, &schedules, &ignored);
    bool ok = store_plans_open(context, &schedules, &listing->stores, err);
    backup_schedule_clear(&schedules);
    return ok;
}

static bool list_all(struct context *context, struct listing *listing, bool json, struct error *err)
{
    if (!open_stores(context, listing, err) || !store_plans_list(&listing->stores, NULL, err)) {
        return false;
    }
    read_ledger(context, NULL, &listing->rows, &listing->amiss, &listing->ledger_known);
    return print(listing, json, err) &&
           (listing->stores.left_out == 0 || error_set(err, ERROR_DEGRADED, "%s", ""));
}

/* Of one backup each store is asked. One that does not answer was told when it was looked for. */
static json_t *stores_having(const struct store_pool *stores, const struct backup_choice *choice)
{
    json_t *list = json_array();

    for (size_t i = 0; i < stores->count; i++) {
        struct object object = OBJECT_INIT;
        struct error ignored = ERROR_INIT;
        bool found = false;
        bool asked = store_head(stores->items[i], choice->object.name, &object, &found, &ignored);
        found = stores->items[i] == choice->store ||
                (asked && found && backup_object_has_run(&object, choice->backup.facts.run_id));
        if (found) {
            json_array_append_new(list, json_string(stores->items[i]->location));
        }
        object_clear(&object);
    }
    return list;
}

static bool print_one(struct context *context, const struct listing *listing,
                      const struct backup_choice *choice, const struct manifest_copy *manifest,
                      bool json, struct error *err)
{
    const char *name = choice->object.name;

    if (json) {
        json_t *object =
            to_json(&choice->backup, find_row(&listing->rows, name), choice->store->location,
                    stores_having(&context->stores, choice), &listing->amiss);
        if (object != NULL && !list_tables_json(object, manifest)) {
            json_decref(object);
            object = NULL;
        }
        return output_json(object, err);
    }
    if (manifest == NULL) {
        log_info(LOG_MARK_NOTE, "no_manifest",
                 "%s has no manifest: what is in it is not known before it is read", name);
        return true;
    }
    return list_tables_print(manifest, err);
}

static bool read_one(struct context *context, struct listing *listing,
                     const struct backup_choice *choice, bool json, struct error *err)
{
    struct backup_source source = BACKUP_SOURCE_INIT;
    const char *name = choice->object.name;

    bool ok = backup_source_open(choice->store, &choice->backup, &source, err);
    if (ok && source.manifest_is_lost) {
        ok = error_set(err, ERROR_FAILED, "%s in %s had a manifest, %s%s, and it is gone", name,
                       choice->store->location, name, MANIFEST_SUFFIX);
    }
    if (ok) {
        if (json) {
            read_ledger(context, name, &listing->rows, &listing->amiss, &listing->ledger_known);
        }
        ok = print_one(context, listing, choice, source.has_manifest ? &source.manifest : NULL,
                       json, err);
    }
    backup_source_clear(&source);
    return ok;
}

static bool list_one(struct context *context, struct listing *listing, const char *wanted,
                     bool json, struct error *err)
{
    struct chosen_backup chosen;
    bool ok = chosen_backup_open(context, wanted, &chosen, err) &&
              read_one(context, listing, &chosen.choice, json, err);

    chosen_backup_clear(&chosen);
    return ok;
}

static bool run(struct context *context, const struct invocation *invocation, struct error *err)
{
    struct listing listing = {.ledger_known = false};
    bool json = invocation->options[OPTION_JSON] != NULL;
    bool ok = invocation->argument_count > 0
                  ? list_one(context, &listing, invocation->arguments[0], json, err)
                  : list_all(context, &listing, json, err);

    history_rows_clear(&listing.rows);
    backup_copies_clear(&listing.amiss);
    store_plans_clear(&listing.stores);
    return ok;
}

const struct command command_list = {
    .name = "list",
    .arguments = "[NAME]",
    .most_arguments = 1,
    .summary = "list the backups in the store, newest first, or the tables in one",
    .description =
        "Lists the backups that the store holds, newest first, joined with the ledger. It works\n"
        "without the database, which it then says. With several stores each has a list, which "
        "says\n"
        "where else a backup is. Stores that schedules name follow the configured ones; they are "
        "known only while the database answers. One that cannot be\n"
        "listed is told, and left out.\n\n"
        "With NAME, lists the tables in that backup, as its manifest tells them. NAME is one of\n"
        "the list's, or latest, or latest:SCHEDULE[/DATABASE].",
    .options = {{"json", NULL, "print it as JSON, with all that is known"}},
    .needs_store = true,
    .run = run,
};
