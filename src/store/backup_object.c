#include "store/backup_object.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

#define SHA256_HEX 64
/* An upper bound that arithmetic on durations cannot overflow: a hundred years. */
#define DURATION_MOST_MS (INT64_C(100) * 366 * 86400 * 1000)

void backup_name_format(char out[BACKUP_NAME_SIZE], int64_t begun_ms, const char *suffix)
{
    char time[CLOCK_ISO_SIZE];

    clock_format_iso(time, begun_ms);
    for (char *c = time; *c != '\0'; c++) {
        if (*c == ':' || *c == '.') {
            *c = '-';
        }
    }
    snprintf(out, BACKUP_NAME_SIZE, BACKUP_NAME_PREFIX "%.32s.sql%.16s", time, suffix);
}

/* Reads an instant that looks like `form`, where a 'd' stands for a digit. */
static bool parse_instant(const char *string, const char *form, int64_t *instant_ms)
{
    int fields[7] = {0};
    size_t field = 0;

    for (size_t i = 0; form[i] != '\0'; i++) {
        if (form[i] != 'd') {
            field += form[i + 1] == 'd';
            if (string[i] != form[i]) {
                return false;
            }
        } else if (string[i] < '0' || string[i] > '9') {
            return false;
        } else {
            fields[field] = fields[field] * 10 + (string[i] - '0');
        }
    }
    return clock_from_civil(fields[0], fields[1], fields[2], fields[3], fields[4], fields[5],
                            fields[6], instant_ms);
}

static const char iso_form[] = "dddd-dd-ddTdd:dd:dd.dddZ";

bool backup_name_parse(const char *name, int64_t *begun_ms)
{
    static const char own_form[] = "dddd-dd-ddTdd-dd-dd-dddZ";
    size_t prefix = strlen(BACKUP_NAME_PREFIX);

    if (strncmp(name, BACKUP_NAME_PREFIX, prefix) != 0) {
        return false;
    }
    const char *time = name + prefix;
    int64_t instant_ms;
    bool own = parse_instant(time, own_form, &instant_ms);
    if (!own && !parse_instant(time, iso_form, &instant_ms)) {
        return false;
    }
    /* Both forms have the same length. */
    const char *suffix = time + strlen(own_form);
    if (strcmp(suffix, ".sql") != 0 &&
        !(own && (strcmp(suffix, ".sql.zst") == 0 || strcmp(suffix, ".sql.gz") == 0))) {
        return false;
    }
    *begun_ms = instant_ms;
    return true;
}

bool backup_instant_parse(const char *string, int64_t *instant_ms)
{
    return strlen(string) == strlen(iso_form) && parse_instant(string, iso_form, instant_ms);
}

static bool is_hex(const char *string, size_t length)
{
    return strlen(string) == length && strspn(string, "0123456789abcdef") == length;
}

static bool is_uuid(const char *string)
{
    static const char form[] = "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh";

    if (strlen(string) != strlen(form)) {
        return false;
    }
    for (size_t i = 0; form[i] != '\0'; i++) {
        if (form[i] == '-' ? string[i] != '-'
                           : strchr("0123456789abcdefABCDEF", string[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static bool is_type(const char *type)
{
    return strcmp(type, "scheduled") == 0 || strcmp(type, "manual") == 0;
}

/* Blanks are encoded too, so that none can stand at an end. */
static bool set_encoded(struct metadata *out, const char *name, const char *value,
                        struct error *err)
{
    struct text encoded = TEXT_INIT(4096);

    for (const char *c = value; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~' || *c == '%') {
            text_appendf(&encoded, "%%%02X", (unsigned)(unsigned char)*c);
        } else {
            text_append_bytes(&encoded, c, 1);
        }
    }
    bool ok = encoded.failed ? error_set_memory(err)
                             : metadata_set(out, name, text_string(&encoded), err);
    text_clear(&encoded);
    return ok;
}

static bool set_unless_empty(struct metadata *out, const char *name, const char *value,
                             struct error *err)
{
    return *value == '\0' || set_encoded(out, name, value, err);
}

static bool set_number(struct metadata *out, const char *name, uint64_t number, struct error *err)
{
    char value[32];

    snprintf(value, sizeof(value), "%" PRIu64, number);
    return metadata_set(out, name, value, err);
}

static bool set_instant(struct metadata *out, const char *name, int64_t instant_ms,
                        struct error *err)
{
    char value[CLOCK_ISO_SIZE];

    clock_format_iso(value, instant_ms);
    return metadata_set(out, name, value, err);
}

bool backup_facts_format(const struct backup_facts *facts, struct metadata *out, struct error *err)
{
    /* What backup_object_parse() will insist on. */
    if (!is_hex(facts->run_id, BACKUP_RUN_ID_SIZE - 1) || !is_hex(facts->sha256, SHA256_HEX) ||
        (facts->manifest_sha256[0] != '\0' && !is_hex(facts->manifest_sha256, SHA256_HEX)) ||
        !is_type(facts->type) || facts->duration_ms < 0) {
        return error_set(err, ERROR_FAILED, "the facts about backup run '%s' are incomplete",
                         facts->run_id);
    }
    return metadata_set(out, BACKUP_RUN_KEY, facts->run_id, err) &&
           set_unless_empty(out, "schedule", facts->schedule_id, err) &&
           (!facts->has_occurrence || set_instant(out, "occurrence", facts->occurrence_ms, err)) &&
           metadata_set(out, "type", facts->type, err) &&
           set_unless_empty(out, "database", facts->database, err) &&
           (!facts->of_all_databases || metadata_set(out, "alldatabases", "1", err)) &&
           set_unless_empty(out, "ledger", facts->ledger, err) &&
           set_unless_empty(out, "system", facts->system, err) &&
           set_unless_empty(out, "source", facts->source, err) &&
           set_unless_empty(out, "schemas", facts->schemas, err) &&
           set_unless_empty(out, "server", facts->server_version, err) &&
           set_unless_empty(out, "tool", facts->tool_version, err) &&
           set_unless_empty(out, "compression", facts->compression, err) &&
           set_unless_empty(out, "engine", facts->engine, err) &&
           (!facts->has_rows || (set_number(out, "tables", facts->tables, err) &&
                                 set_number(out, "rows", facts->rows, err))) &&
           set_number(out, "bytes", facts->bytes, err) &&
           set_number(out, "rawbytes", facts->raw_bytes, err) &&
           set_number(out, "durationms", (uint64_t)facts->duration_ms, err) &&
           metadata_set(out, "sha256", facts->sha256, err) &&
           set_unless_empty(out, "manifest", facts->manifest_sha256, err);
}

static bool get_text(const struct metadata *metadata, const char *name, char *out, size_t size)
{
    const char *value = metadata_get(metadata, name);

    return value == NULL || text_decode_percent(out, size, value);
}

static bool get_number(const struct metadata *metadata, const char *name, int64_t most,
                       int64_t *out)
{
    const char *value = metadata_get(metadata, name);

    return value != NULL && text_parse_integer(value, 0, most, out);
}

/* Both are there, or neither is. */
static bool parse_rows(const struct metadata *metadata, struct backup_facts *facts)
{
    int64_t tables = 0;
    int64_t rows = 0;

    facts->has_rows = metadata_get(metadata, "tables") != NULL;
    if (facts->has_rows && (!get_number(metadata, "tables", INT64_MAX, &tables) ||
                            !get_number(metadata, "rows", INT64_MAX, &rows))) {
        return false;
    }
    facts->tables = (uint64_t)tables;
    facts->rows = (uint64_t)rows;
    return true;
}

bool backup_facts_parse(const struct metadata *metadata, struct backup_facts *facts)
{
    const char *occurrence = metadata_get(metadata, "occurrence");
    int64_t bytes;
    int64_t raw_bytes;

    if (!get_text(metadata, BACKUP_RUN_KEY, facts->run_id, sizeof(facts->run_id)) ||
        !get_text(metadata, "schedule", facts->schedule_id, sizeof(facts->schedule_id)) ||
        !get_text(metadata, "type", facts->type, sizeof(facts->type)) ||
        !get_text(metadata, "database", facts->database, sizeof(facts->database)) ||
        !get_text(metadata, "ledger", facts->ledger, sizeof(facts->ledger)) ||
        !get_text(metadata, "system", facts->system, sizeof(facts->system)) ||
        !get_text(metadata, "source", facts->source, sizeof(facts->source)) ||
        !get_text(metadata, "schemas", facts->schemas, sizeof(facts->schemas)) ||
        !get_text(metadata, "server", facts->server_version, sizeof(facts->server_version)) ||
        !get_text(metadata, "tool", facts->tool_version, sizeof(facts->tool_version)) ||
        !get_text(metadata, "compression", facts->compression, sizeof(facts->compression)) ||
        !get_text(metadata, "engine", facts->engine, sizeof(facts->engine)) ||
        !parse_rows(metadata, facts) ||
        !get_text(metadata, "sha256", facts->sha256, sizeof(facts->sha256)) ||
        !get_text(metadata, "manifest", facts->manifest_sha256, sizeof(facts->manifest_sha256)) ||
        !get_number(metadata, "bytes", INT64_MAX, &bytes) ||
        !get_number(metadata, "rawbytes", INT64_MAX, &raw_bytes) ||
        !get_number(metadata, "durationms", DURATION_MOST_MS, &facts->duration_ms)) {
        return false;
    }
    facts->bytes = (uint64_t)bytes;
    facts->raw_bytes = (uint64_t)raw_bytes;
    facts->of_all_databases = metadata_get(metadata, "alldatabases") != NULL;
    facts->has_occurrence = occurrence != NULL;
    if (occurrence != NULL && !backup_instant_parse(occurrence, &facts->occurrence_ms)) {
        return false;
    }
    return is_hex(facts->run_id, BACKUP_RUN_ID_SIZE - 1) && is_hex(facts->sha256, SHA256_HEX) &&
           (metadata_get(metadata, "manifest") == NULL ||
            is_hex(facts->manifest_sha256, SHA256_HEX)) &&
           is_type(facts->type) && (facts->schedule_id[0] == '\0' || is_uuid(facts->schedule_id));
}

bool backup_object_has_run(const struct object *object, const char *run_id)
{
    const char *run = metadata_get(&object->metadata, BACKUP_RUN_KEY);

    return run != NULL && strcmp(run, run_id) == 0;
}

bool backup_object_parse(const struct object *object, struct backup_object *out)
{
    struct backup_object parsed = {.object = object};

    if (!backup_name_parse(object->name, &parsed.begun_ms)) {
        return false;
    }
    if (object->metadata.count == 0) {
        size_t length = strlen(object->name);
        /* The old service did not compress. */
        parsed.legacy = strcmp(object->name + length - strlen(".sql"), ".sql") == 0;
        if (!parsed.legacy || object->bytes == 0) {
            return false;
        }
    } else if (!backup_facts_parse(&object->metadata, &parsed.facts) ||
               parsed.facts.bytes != object->bytes) {
        return false;
    }
    *out = parsed;
    return true;
}

const char *backup_object_media_type(const char *name)
{
    static const struct {
        const char *suffix;
        const char *type;
    } types[] = {
        {".zst", "application/zstd"}, {".gz", "application/gzip"}, {".json", "application/json"}};
    size_t length = strlen(name);

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        size_t suffix = strlen(types[i].suffix);
        if (length > suffix && strcmp(name + length - suffix, types[i].suffix) == 0) {
            return types[i].type;
        }
    }
    return "application/octet-stream";
}
