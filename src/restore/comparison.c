#include "restore/comparison.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "postgres/copy_out.h"
#include "postgres/large_objects.h"
#include "postgres/snapshot.h"
#include "postgres/table_catalogue.h"
#include "postgres/table_copy.h"
#include "restore/workers.h"

#define MEBIBYTE  ((uint64_t)1024 * 1024)
#define READ_SIZE ((size_t)64 * 1024)
#define SQL_CAP   ((size_t)1024 * 1024)

/* What the manifest says of a table, and what was found. */
struct expectation {
    uint64_t rows;
    struct fingerprint fingerprint;
    bool found; /* in the database */
    uint64_t rows_found;
    struct fingerprint fingerprint_found;
};

struct comparing {
    const struct comparison *options;
    struct workers workers;
    struct table_catalogue catalogue;
    struct expectation *tables; /* as in the manifest, and behind them those without rows */
    size_t *numbers;            /* of each table of the catalogue among these, or SIZE_MAX */
};

/* A table's segments stand together. */
static bool expect(struct comparing *comparing, struct error *err)
{
    const struct segments *segments = &comparing->options->manifest->segments;

    comparing->tables =
        calloc(segments->table_count + segments->bare_count + 1, sizeof(*comparing->tables));
    if (comparing->tables == NULL) {
        return error_set_memory(err);
    }
    for (size_t i = 0; i < segments->count; i++) {
        const struct segment *segment = &segments->items[i];
        if (segment->table != SEGMENT_NO_TABLE) {
            struct expectation *table = &comparing->tables[segment->table];
            table->rows += segment->rows;
            fingerprint_merge(&table->fingerprint, &segment->fingerprint);
        }
    }
    return true;
}

static int compare_names(const char *schema, const char *name, const struct segment_table *table)
{
    int order = strcmp(schema, table->schema);

    return order != 0 ? order : strcmp(name, table->name);
}

/* Both are in the order of schema and name. */
static size_t find_name(const struct segment_table *tables, size_t count,
                        const struct table_entry *entry)
{
    size_t low = 0;
    size_t high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_names(entry->schema, entry->name, &tables[middle]);
        if (order == 0) {
            return middle;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return SIZE_MAX;
}

/* Of a table whose rows were left out none are expected. */
static size_t find_table(const struct segments *segments, const struct table_entry *entry)
{
    size_t number = find_name(segments->tables, segments->table_count, entry);

    if (number == SIZE_MAX) {
        number = find_name(segments->bare, segments->bare_count, entry);
        number = number != SIZE_MAX ? segments->table_count + number : SIZE_MAX;
    }
    return number;
}

static const struct segment_table *name_of(const struct segments *segments, size_t number)
{
    return number < segments->table_count ? &segments->tables[number]
                                          : &segments->bare[number - segments->table_count];
}

static bool match_tables(struct comparing *comparing, struct error *err)
{
    const struct segments *segments = &comparing->options->manifest->segments;
    struct table_catalogue *catalogue = &comparing->catalogue;
    const struct scope whole = {.lists = {NULL}};

    if (!table_catalogue_read(comparing->options->session, &whole, false, catalogue, err)) {
        return false;
    }
    comparing->numbers = calloc(catalogue->count + 1, sizeof(*comparing->numbers));
    if (comparing->numbers == NULL) {
        return error_set_memory(err);
    }
    for (size_t i = 0; i < catalogue->count; i++) {
        const struct table_entry *entry = &catalogue->items[i];
        comparing->numbers[i] = entry->has_data ? find_table(segments, entry) : SIZE_MAX;
        if (comparing->numbers[i] != SIZE_MAX) {
            comparing->tables[comparing->numbers[i]].found = true;
        } else if (entry->has_data) {
            return error_set(err, ERROR_DAMAGED, "table %s.%s is not in the manifest",
                             entry->schema, entry->name);
        }
    }
    return true;
}

static bool sum_rows(struct copy_out *copy, struct row_sum *sum, char *buffer, struct error *err)
{
    bool locked;
    bool whole;
    size_t got = 0;
    int64_t rows;

    if (!copy_out_begin(copy, &locked, err)) {
        return false;
    }
    do {
        if (!copy_out_read(copy, buffer, READ_SIZE, &got, &whole, err)) {
            return false;
        }
        row_sum_add(sum, buffer, got);
    } while (got > 0);
    return copy_out_end(copy, &rows, err) && copy_out_finish(copy, err);
}

/* In the order in which they were summed. */
static char *columns_of(const struct comparing *comparing, size_t number)
{
    size_t table = comparing->numbers[number];
    bool has_own = table < comparing->options->manifest->segments.table_count &&
                   comparing->options->columns[table] != NULL;

    return has_own ? comparing->options->columns[table]
                   : comparing->catalogue.items[number].columns;
}

static bool read_table(struct comparing *comparing, struct worker *worker, size_t number,
                       struct error *err)
{
    struct table_entry entry = comparing->catalogue.items[number];
    const struct settings *settings = comparing->options->settings;
    uint64_t longest = (uint64_t)settings_get_number(settings, SETTING_ROW_LIMIT) * MEBIBYTE;
    struct copy_out copy = {
        .session = worker->session,
        .stall_ms = settings_get_number(settings, SETTING_STALL_TIMEOUT) * 1000,
        .longest_row = longest,
        .most_mapped = UINT64_MAX,
    };
    struct text sql = TEXT_INIT(SQL_CAP);
    char *buffer = malloc(READ_SIZE);

    entry.columns = columns_of(comparing, number);
    table_copy_append(&sql, &entry, NULL);
    row_sum_reset(&worker->sum);
    bool ok = !sql.failed && buffer != NULL ? copy_out_send(&copy, text_string(&sql), err) &&
                                                  sum_rows(&copy, &worker->sum, buffer, err)
                                            : error_set_memory(err);
    free(buffer);
    text_clear(&sql);
    return ok;
}

static bool compare_table(void *context, struct worker *worker, size_t number, struct error *err)
{
    struct comparing *comparing = context;
    const struct table_entry *entry = &comparing->catalogue.items[number];

    if (comparing->numbers[number] == SIZE_MAX) {
        return true;
    }
    struct expectation *table = &comparing->tables[comparing->numbers[number]];
    if (!read_table(comparing, worker, number, err)) {
        return error_prefix(err, "reading table %s again", entry->ident);
    }
    table->rows_found = worker->sum.rows;
    table->fingerprint_found = worker->sum.fingerprint;
    return true;
}

static void merge(struct expectation *into, struct expectation *from)
{
    into->rows += from->rows;
    into->rows_found += from->rows_found;
    fingerprint_merge(&into->fingerprint, &from->fingerprint);
    fingerprint_merge(&into->fingerprint_found, &from->fingerprint_found);
    *from = (struct expectation){.found = true};
}

static bool goes_through_root(const struct comparing *comparing, size_t number)
{
    const struct table_entry *entry = &comparing->catalogue.items[number];

    return comparing->numbers[number] != SIZE_MAX && strcmp(entry->target, entry->ident) != 0;
}

/* Rows that are restored through the partitioned table above may come to another partition, for not
 * every hash is the same everywhere: only all of its partitions are as they were. */
static void merge_partitions(struct comparing *comparing)
{
    const struct table_catalogue *catalogue = &comparing->catalogue;

    for (size_t i = 0; i < catalogue->count; i++) {
        if (!goes_through_root(comparing, i)) {
            continue;
        }
        for (size_t j = 0; j < i; j++) {
            if (goes_through_root(comparing, j) &&
                strcmp(catalogue->items[i].target, catalogue->items[j].target) == 0) {
                merge(&comparing->tables[comparing->numbers[j]],
                      &comparing->tables[comparing->numbers[i]]);
                break;
            }
        }
    }
}

static bool is_same(const struct expectation *table)
{
    return table->found && table->rows == table->rows_found &&
           memcmp(&table->fingerprint, &table->fingerprint_found, sizeof(table->fingerprint)) == 0;
}

static bool name_difference(const struct segment_table *name, const struct expectation *table,
                            size_t others, struct error *err)
{
    if (!table->found) {
        error_set(err, ERROR_DAMAGED, "table %s.%s is missing", name->schema, name->name);
    } else if (table->rows != table->rows_found) {
        error_set(err, ERROR_DAMAGED,
                  "table %s.%s has %" PRIu64 " rows, and had %" PRIu64 " when it was backed up",
                  name->schema, name->name, table->rows_found, table->rows);
    } else {
        error_set(err, ERROR_DAMAGED,
                  "table %s.%s has as many rows (%" PRIu64 ") as when it was backed up, but not "
                  "the same",
                  name->schema, name->name, table->rows);
    }
    return others == 0 || error_hint(err, "%zu more table(s) differ", others);
}

static bool judge_tables(const struct comparing *comparing, uint64_t *rows, struct error *err)
{
    const struct segments *segments = &comparing->options->manifest->segments;
    size_t first = SIZE_MAX;
    size_t different = 0;

    for (size_t i = 0; i < segments->table_count + segments->bare_count; i++) {
        *rows += comparing->tables[i].rows_found;
        if (!is_same(&comparing->tables[i]) && different++ == 0) {
            first = i;
        }
    }
    if (different == 0) {
        return true;
    }
    name_difference(name_of(segments, first), &comparing->tables[first], different - 1, err);
    return false;
}

static bool judge(struct comparing *comparing, uint64_t *rows, struct error *err)
{
    merge_partitions(comparing);
    return judge_tables(comparing, rows, err);
}

static bool begin_object(void *context, const char *oid, const char *definition, struct error *err)
{
    struct row_sum *sum = context;

    (void)definition;
    (void)err;
    sum->rows++;
    large_object_add(&sum->fingerprint, oid);
    return true;
}

static bool add_piece(void *context, const char *oid, uint64_t offset, const char *hex,
                      size_t digits, struct error *err)
{
    struct row_sum *sum = context;

    return large_object_add_piece(&sum->fingerprint, oid, offset, hex, digits, err);
}

static bool end_object(void *context, const char *oid, struct error *err)
{
    (void)context;
    (void)oid;
    (void)err;
    return true;
}

static bool compare_large_objects(const struct comparing *comparing, struct error *err)
{
    const struct segments *segments = &comparing->options->manifest->segments;
    struct row_sum expected = {.rows = 0};
    struct row_sum found = {.rows = 0};
    const struct large_object_sink sink = {begin_object, add_piece, end_object, &found};

    for (size_t i = 0; i < segments->count; i++) {
        if (segments->items[i].kind == SEGMENT_LARGE_OBJECTS) {
            expected.rows += segments->items[i].rows;
            fingerprint_merge(&expected.fingerprint, &segments->items[i].fingerprint);
        }
    }
    if (!large_objects_read(comparing->options->session, 0, 0, false, &sink, err)) {
        return false;
    }
    if (found.rows != expected.rows) {
        return error_set(err, ERROR_DAMAGED,
                         "there are %" PRIu64 " large objects, and were %" PRIu64
                         " when it was backed up",
                         found.rows, expected.rows);
    }
    return memcmp(&found.fingerprint, &expected.fingerprint, sizeof(found.fingerprint)) == 0 ||
           error_set(err, ERROR_DAMAGED, "the large objects are not the same");
}

static bool prepare_session(const void *context, struct session *session, struct error *err)
{
    (void)context;
    return snapshot_prepare_reader(session, err);
}

static bool compare(struct comparing *comparing, uint64_t *rows, struct error *err)
{
    const struct comparison *options = comparing->options;
    const struct workers_options workers = {
        .base = options->session,
        .count = (size_t)settings_get_number(options->settings, SETTING_JOBS),
        .prepare = prepare_session,
    };

    return expect(comparing, err) && prepare_session(NULL, options->session, err) &&
           snapshot_begin(options->session, err) && match_tables(comparing, err) &&
           workers_open(&comparing->workers, &workers, err) &&
           workers_run(&comparing->workers, comparing->catalogue.count, compare_table, comparing,
                       err) &&
           judge(comparing, rows, err) && compare_large_objects(comparing, err);
}

bool comparison_run(const struct comparison *comparison, uint64_t *tables, uint64_t *rows,
                    struct error *err)
{
    struct comparing comparing = {.options = comparison, .workers = WORKERS_INIT};

    *rows = 0;
    *tables = comparison->manifest->segments.table_count;
    bool ok = compare(&comparing, rows, err);
    snapshot_end(comparison->session);
    workers_close(&comparing.workers);
    table_catalogue_clear(&comparing.catalogue);
    free(comparing.tables);
    free(comparing.numbers);
    return ok;
}
