/*
 * What a command works with: settings, sessions, the stores. Opens and wires things; nobody else
 * does.
 */
#ifndef COMMANDS_CONTEXT_H
#define COMMANDS_CONTEXT_H

#include <stdbool.h>

#include "backup/telemetry.h"
#include "base/error.h"
#include "base/settings.h"
#include "commands/command.h"
#include "identity/entra.h"
#include "postgres/backup_schedule.h"
#include "postgres/session.h"
#include "postgres/session_password.h"
#include "store/store_pool.h"
#include "stream/compress.h"

struct context {
    struct settings settings;
    struct entra entra; /* where Postgres gets tokens instead of passwords */
    struct session_password password;
    struct session_options session_options;
    struct compression compression;
    struct store_pool stores;
    struct store_choice configured; /* none unless the command needs a store */
    struct telemetry telemetry;
};

/* Reads and checks every setting, configures the log, makes the store ready to be asked. Nothing is
 * connected to yet. The caller clears it, also after a failure. */
bool context_open(struct context *context, const struct invocation *invocation, struct error *err);
void context_clear(struct context *context);

/* Opens the configured stores, for a command that does not always need them. */
bool context_open_configured(struct context *context, struct error *err);
/* Opens every store that a schedule names, beside the configured ones: context->stores has them
 * all. Of a schedule whose stores cannot be opened that is told; returns of how many. */
size_t context_open_stores(struct context *context, const struct schedules *schedules);
/* Calls an enabled schedule wrong of whose own stores one is: cannot be opened or, in a command
 * that opens no store and so needs no key for one, has no URL. */
void context_judge_stores(struct context *context, struct schedules *schedules);
/* Whether a progress line is wanted: not by a program that reads the log as JSON. */
bool context_wants_progress(const struct context *context, const struct invocation *invocation);
/* Where verifications restore to: `given` (--server), or what is configured. */
void context_verify_server(const struct context *context, const char *given,
                           struct session_options *out);
/* A new session to the configured database; the caller closes it. */
bool context_connect(struct context *context, struct session **session, struct error *err);
/* From here on every session's clock says what the --now argument says. */
bool context_pretend_now(struct context *context, const char *timestamp, struct error *err);
/* Reads the schedules. An empty table is an error that says what to do. */
bool context_read_schedules_in(struct context *context, struct session *session,
                               struct schedules *out, struct error *err);
/* Connects, reads the schedules, disconnects. */
bool context_read_schedules(struct context *context, struct schedules *out, struct error *err);

#endif
