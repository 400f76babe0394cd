#include "store/manifest.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_memory.h"
#include "base/log.h"
#include "base/text.h"

/* Of one field or one segment. */
#define PIECE_CAP ((size_t)64 * 1024)

void manifest_name(char out[MANIFEST_NAME_SIZE], const char *backup_name)
{
    snprintf(out, MANIFEST_NAME_SIZE, "%.*s" MANIFEST_SUFFIX, BACKUP_NAME_SIZE - 1, backup_name);
}

bool manifest_name_parse(const char *name, char backup_name[BACKUP_NAME_SIZE])
{
    size_t length = strlen(name);
    size_t suffix = strlen(MANIFEST_SUFFIX);
    int64_t begun_ms;

    if (length <= suffix || length - suffix >= BACKUP_NAME_SIZE ||
        strcmp(name + length - suffix, MANIFEST_SUFFIX) != 0) {
        return false;
    }
    snprintf(backup_name, BACKUP_NAME_SIZE, "%.*s", (int)(length - suffix), name);
    return backup_name_parse(backup_name, &begun_ms);
}

/* "key": "value", or null for an empty one. A name in a database without an encoding need not be
 * UTF-8, and JSON is: then "key_hex" has its bytes. */
static bool append_string(struct text *out, const char *key, const char *value, struct error *err)
{
    unsigned refusals = json_memory_refusals();
    json_t *string = *value != '\0' ? json_string(value) : json_null();
    char *quoted = string != NULL ? json_dumps(string, JSON_ENCODE_ANY) : NULL;

    json_decref(string);
    if (json_memory_refusals() != refusals) {
        free(quoted);
        return error_set_memory(err);
    }
    if (quoted != NULL) {
        text_appendf(out, "\"%s\": %s", key, quoted);
        free(quoted);
        return true;
    }
    text_appendf(out, "\"%s_hex\": \"", key);
    for (const char *c = value; *c != '\0'; c++) {
        text_appendf(out, "%02x", (unsigned)(unsigned char)*c);
    }
    text_append(out, "\"");
    return true;
}

/* Hands over what was written so far. */
static bool pass_on(struct text *out, struct stage *stage, struct error *err)
{
    bool ok = out->failed ? error_set_memory(err)
                          : stage_write(stage, text_string(out), out->length, err);

    text_clear(out);
    return ok;
}

static void append_instant(struct text *out, const char *key, bool known, int64_t instant_ms)
{
    char instant[CLOCK_ISO_SIZE];

    clock_format_iso(instant, instant_ms);
    text_appendf(out, "\"%s\": %s%s%s", key, known ? "\"" : "", known ? instant : "null",
                 known ? "\"" : "");
}

/* 2 has a segment of roles, which a program that reads version 1 takes for damage. */
static int version_of(const struct manifest *manifest)
{
    return segments_schema_at(manifest->segments) > 0 ? 2 : 1;
}

static bool write_facts(const struct manifest *manifest, struct stage *stage, struct error *err)
{
    const struct backup_facts *facts = manifest->facts;
    const struct {
        const char *key;
        const char *value;
    } strings[] = {
        {"name", manifest->name},
        {"run", facts->run_id},
        {"schedule", facts->schedule_id},
        {"type", facts->type},
        {"database", facts->database},
        {"ledger", facts->ledger},
        {"system", facts->system},
        {"server_version", facts->server_version},
        {"tool_version", facts->tool_version},
        {"engine", facts->engine},
        {"encoding", manifest->encoding},
        {"locale_provider", manifest->locale.provider},
        {"collate", manifest->locale.collate},
        {"ctype", manifest->locale.ctype},
        {"locale", manifest->locale.locale},
        {"icu_rules", manifest->locale.icu_rules},
        {"compression", facts->compression},
        {"encryption", ""},
        {"sha256", facts->sha256},
    };
    struct text out = TEXT_INIT(PIECE_CAP);

    text_appendf(&out, "{\"format\": \"" MANIFEST_FORMAT "\",\n \"version\": %d",
                 version_of(manifest));
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        text_append(&out, ",\n ");
        if (!append_string(&out, strings[i].key, strings[i].value, err)) {
            text_clear(&out);
            return false;
        }
    }
    text_append(&out, ",\n ");
    append_instant(&out, "occurrence", facts->has_occurrence, facts->occurrence_ms);
    text_append(&out, ",\n ");
    append_instant(&out, "snapshot_at", manifest->snapshot_ms != 0, manifest->snapshot_ms);
    text_appendf(&out,
                 ",\n \"bytes\": %" PRIu64 ",\n \"raw_bytes\": %" PRIu64 ",\n \"rows\": %" PRIu64,
                 facts->bytes, facts->raw_bytes, facts->rows);
    return pass_on(&out, stage, err);
}

static bool write_table(const struct segments *segments, size_t table, size_t first, size_t count,
                        struct stage *stage, struct error *err)
{
    struct text out = TEXT_INIT(PIECE_CAP);
    struct fingerprint sum = {0, 0};
    char fingerprint[FINGERPRINT_HEX_SIZE];
    uint64_t rows = 0;
    uint64_t raw_bytes = 0;
    uint64_t bytes = 0;

    for (size_t i = first; i < first + count; i++) {
        fingerprint_merge(&sum, &segments->items[i].fingerprint);
        rows += segments->items[i].rows;
        raw_bytes += segments->items[i].raw_length;
        bytes += segments->items[i].length;
    }
    fingerprint_format(fingerprint, &sum);
    text_append(&out, table > 0 ? ",\n  {" : "\n  {");
    if (!append_string(&out, "schema", segments->tables[table].schema, err)) {
        text_clear(&out);
        return false;
    }
    text_append(&out, ", ");
    if (!append_string(&out, "name", segments->tables[table].name, err)) {
        text_clear(&out);
        return false;
    }
    text_appendf(&out,
                 ", \"rows\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"raw_bytes\": %" PRIu64
                 ", \"fingerprint\": \"%s\", \"first_segment\": %zu, \"segments\": %zu}",
                 rows, bytes, raw_bytes, fingerprint, first, count);
    return pass_on(&out, stage, err);
}

static bool write_choice(enum scope_list list, const char *name, bool is_first, struct stage *stage,
                         struct error *err)
{
    struct text out = TEXT_INIT(PIECE_CAP);

    text_appendf(&out, "%s{\"list\": \"%s\", ", is_first ? "\n  " : ",\n  ", scope_key(list));
    bool ok = append_string(&out, "name", name, err);
    text_append(&out, "}");
    ok = ok && pass_on(&out, stage, err);
    text_clear(&out);
    return ok;
}

/* Of a part of a database: which. */
static bool write_scope(const struct scope *scope, struct stage *stage, struct error *err)
{
    static const char begin[] = ",\n \"scope\": [";
    bool is_first = true;

    if (scope == NULL || scope_is_whole(scope)) {
        return true;
    }
    bool ok = stage_write(stage, begin, strlen(begin), err);
    for (int i = 0; i < SCOPE_LISTS; i++) {
        char *const *names = scope->lists[i];
        for (size_t j = 0; ok && names != NULL && names[j] != NULL; j++) {
            ok = write_choice((enum scope_list)i, names[j], is_first, stage, err);
            is_first = false;
        }
    }
    return ok && stage_write(stage, "]", 1, err);
}

/* Tables whose rows are not in the backup. */
static bool write_left_out(const struct segments *segments, struct stage *stage, struct error *err)
{
    static const char begin[] = ",\n \"left_out\": [";

    if (segments->bare_count == 0) {
        return true;
    }
    bool ok = stage_write(stage, begin, strlen(begin), err);
    for (size_t i = 0; ok && i < segments->bare_count; i++) {
        struct text out = TEXT_INIT(PIECE_CAP);
        text_append(&out, i > 0 ? ",\n  {" : "\n  {");
        ok = append_string(&out, "schema", segments->bare[i].schema, err);
        text_append(&out, ", ");
        ok = ok && append_string(&out, "name", segments->bare[i].name, err);
        text_append(&out, "}");
        ok = ok && pass_on(&out, stage, err);
        text_clear(&out);
    }
    return ok && stage_write(stage, "]", 1, err);
}

/* The segments of a table stand together, in the order of the tables. */
static bool write_tables(const struct segments *segments, struct stage *stage, struct error *err)
{
    size_t segment = 0;

    for (size_t table = 0; table < segments->table_count; table++) {
        while (segment < segments->count && segments->items[segment].table != table) {
            segment++;
        }
        size_t first = segment;
        while (segment < segments->count && segments->items[segment].table == table) {
            segment++;
        }
        if (!write_table(segments, table, first, segment - first, stage, err)) {
            return false;
        }
    }
    return true;
}

static void append_pages(struct text *out, const struct segment *segment)
{
    if (!segment->is_range) {
        return;
    }
    text_appendf(out, ", \"from_page\": %" PRIu64, segment->from_page);
    if (segment->until_page != SEGMENT_OPEN_ENDED) {
        text_appendf(out, ", \"until_page\": %" PRIu64, segment->until_page);
    }
}

static bool write_segment(const struct segment *segment, bool is_first, struct stage *stage,
                          struct error *err)
{
    struct text out = TEXT_INIT(PIECE_CAP);
    char sha256[DIGEST_HEX_SIZE(DIGEST_SHA256_SIZE)];
    char fingerprint[FINGERPRINT_HEX_SIZE];

    digest_format_hex(sha256, segment->sha256, sizeof(segment->sha256));
    fingerprint_format(fingerprint, &segment->fingerprint);
    text_appendf(&out, "%s{\"kind\": \"%s\"", is_first ? "\n  " : ",\n  ",
                 segment_kind_name(segment->kind));
    if (segment->table != SEGMENT_NO_TABLE) {
        text_appendf(&out, ", \"table\": %zu", segment->table);
    }
    append_pages(&out, segment);
    text_appendf(&out,
                 ", \"offset\": %" PRIu64 ", \"length\": %" PRIu64 ", \"raw_length\": %" PRIu64
                 ", \"rows\": %" PRIu64 ", \"fingerprint\": \"%s\", \"sha256\": \"%s\"}",
                 segment->offset, segment->length, segment->raw_length, segment->rows, fingerprint,
                 sha256);
    return pass_on(&out, stage, err);
}

bool manifest_write(const struct manifest *manifest, struct stage *stage, struct error *err)
{
    static const char tables[] = ",\n \"tables\": [";
    static const char segments[] = "],\n \"segments\": [";
    static const char end[] = "]\n}\n";

    if (!write_facts(manifest, stage, err) || !write_scope(manifest->scope, stage, err) ||
        !write_left_out(manifest->segments, stage, err) ||
        !stage_write(stage, tables, strlen(tables), err) ||
        !write_tables(manifest->segments, stage, err) ||
        !stage_write(stage, segments, strlen(segments), err)) {
        return false;
    }
    for (size_t i = 0; i < manifest->segments->count; i++) {
        if (!write_segment(&manifest->segments->items[i], i == 0, stage, err)) {
            return false;
        }
    }
    return stage_write(stage, end, strlen(end), err);
}

bool manifest_store(const struct manifest *manifest, struct store *store,
                    const struct metadata *metadata, struct stream_digest *digest,
                    struct error *err)
{
    char name[MANIFEST_NAME_SIZE];
    const struct upload_options options = {
        .name = name,
        .run_id = manifest->facts->run_id,
        .parallel = 1,
        .retain_ms = manifest->retain_ms,
    };
    struct upload *upload = NULL;

    manifest_name(name, manifest->name);
    if (!store_upload_begin(store, &options, &upload, err)) {
        return error_prefix(err, "storing the manifest");
    }
    struct stage *stage = digest_stage_new(digest, store_upload_stage_new(upload, err), err);
    bool ok = stage != NULL && manifest_write(manifest, stage, err) && stage_finish(stage, err);
    stage_free(stage);
    if (ok) {
        ok = store_upload_commit(upload, metadata, err);
    } else {
        store_upload_abandon(upload);
    }
    return ok ? true : error_prefix(err, "storing the manifest");
}

bool manifest_remove(struct store *store, const char *backup_name, const char *run_id,
                     struct error *err)
{
    char name[MANIFEST_NAME_SIZE];
    struct object object = OBJECT_INIT;
    enum store_removal removal;
    bool found = false;

    manifest_name(name, backup_name);
    bool ok =
        store_discard(store, name, run_id, err) && store_head(store, name, &object, &found, err);
    if (ok && found) {
        const char *run = metadata_get(&object.metadata, BACKUP_RUN_KEY);
        ok = run == NULL || strcmp(run, run_id) != 0 || store_remove(store, &object, &removal, err);
    }
    object_clear(&object);
    return ok ? true : error_prefix(err, "removing the manifest of %s", backup_name);
}

bool manifest_remove_backup(struct store *store, const struct object *backup,
                            enum store_removal *result, struct error *err)
{
    const char *run = metadata_get(&backup->metadata, BACKUP_RUN_KEY);
    struct error problem = ERROR_INIT;

    if (!store_remove(store, backup, result, err)) {
        return false;
    }
    if ((*result == STORE_REMOVED || *result == STORE_WAS_GONE) && run != NULL &&
        !manifest_remove(store, backup->name, run, &problem)) {
        log_warning("manifest_not_removed", "%s", problem.text);
    }
    return true;
}
