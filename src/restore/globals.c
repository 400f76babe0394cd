#include "restore/globals.h"

#include <inttypes.h>

#include "base/log.h"
#include "postgres/target_session.h"
#include "restore/replay.h"

static bool has_globals(const struct backup_source *source)
{
    return source->has_manifest && segments_schema_at(&source->manifest.segments) > 0;
}

static bool replay(const struct backup_source *source, struct segment_reader *reader,
                   struct session *session, const struct replay_rules *rules, struct error *err)
{
    struct replay replay = {.session = session, .rules = rules, .content = REPLAY_STATEMENTS};

    return segment_reader_take(reader, &source->manifest.segments.items[0],
                               replay_stage_new(&replay, err), err);
}

static bool run(const struct backup_source *source, struct session *session, struct error *err)
{
    static const struct replay_rules all = {.globals = true};
    const struct target_session_options how = {.encoding = backup_source_encoding(source),
                                               .hides_values = true};
    struct segment_reader *reader = segment_reader_new(source, NULL, err);

    bool ok = reader != NULL && target_session_prepare(session, &how, err) &&
              replay(source, reader, session, &all, err);
    segment_reader_free(reader);
    return ok;
}

static void tell_warnings(const struct session *session)
{
    uint64_t count = target_session_warnings(session);

    if (count > 0) {
        log_warning("roles_differ",
                    "Not all roles, settings and memberships of the backup could be made: Postgres "
                    "refused %" PRIu64 " (--verbose tells them)",
                    count);
    }
}

bool globals_restore(const struct backup_source *source, struct session *beside, struct error *err)
{
    struct session *session = NULL;

    if (!has_globals(source)) {
        return true;
    }
    bool ok = session_open_beside(beside, &session, err) && run(source, session, err);
    if (ok) {
        tell_warnings(session);
    }
    session_close(session);
    return ok ? true : error_prefix(err, "making the backup's roles");
}

static bool wants_nothing(void *context, const struct sql_statement *statement)
{
    (void)context;
    (void)statement;
    return false;
}

bool globals_check(const struct backup_source *source, struct segment_reader *reader,
                   struct error *err)
{
    static const struct replay_rules nothing = {.wants = wants_nothing};

    return !has_globals(source) || replay(source, reader, NULL, &nothing, err) ||
           error_prefix(err, "reading the backup's roles");
}
