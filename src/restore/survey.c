#include "restore/survey.h"

#include "restore/segment_reader.h"
#include "restore/sql_script.h"
#include "restore/statement_entry.h"
#include "restore/whole_object.h"

struct surveying {
    const struct replay_rules *rules;
    struct script_facts *facts;
};

static bool take_statement(void *context, const struct sql_statement *statement, struct error *err)
{
    struct surveying *surveying = context;

    return !replay_rules_want(surveying->rules, statement) ||
           script_facts_add(surveying->facts, statement, err) ||
           statement_entry_prefix(statement, err);
}

/* A pg_dump from 17 on leaves owners and privileges of large objects to the data. */
static bool names_roles(const struct replay_rules *rules, const struct segment *segment)
{
    return segment->kind == SEGMENT_PRE_DATA || segment->kind == SEGMENT_POST_DATA ||
           (segment->kind == SEGMENT_LARGE_OBJECTS && !(rules->no_owner && rules->no_privileges));
}

static bool read_schema(const struct backup_source *source, const struct replay_rules *rules,
                        const struct sql_script_sink *sink, struct error *err)
{
    const struct segments *segments = &source->manifest.segments;
    struct segment_reader *reader = segment_reader_new(source, NULL, err);
    bool ok = reader != NULL;

    for (size_t i = 0; ok && i < segments->count; i++) {
        ok = !names_roles(rules, &segments->items[i]) ||
             segment_reader_take(reader, &segments->items[i], sql_script_stage_new(sink, err), err);
    }
    segment_reader_free(reader);
    return ok;
}

bool survey_read(const struct backup_source *source, const struct replay_rules *rules,
                 struct script_facts *facts, struct error *err)
{
    struct surveying surveying = {.rules = rules, .facts = facts};
    const struct sql_script_sink sink = {.statement = take_statement, .context = &surveying};
    bool ok = source->has_manifest
                  ? read_schema(source, rules, &sink, err)
                  : whole_object_take(source, sql_script_stage_new(&sink, err), NULL, err);

    return ok ? true : error_prefix(err, "reading what the backup needs");
}
