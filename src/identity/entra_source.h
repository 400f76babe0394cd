/*
 * For the files of this folder: how one of an identity's sources is asked for a token.
 */
#ifndef IDENTITY_ENTRA_SOURCE_H
#define IDENTITY_ENTRA_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/settings.h"
#include "base/text.h"

/* A request, and the texts that it owns. */
struct entra_request {
    const char *method;
    struct text url;
    struct text body;         /* empty: none */
    const char *content_type; /* of a body */
    const char *header;       /* beside it; NULL: none */
    const char *header_value; /* borrowed from the settings, or constant */
};
#define ENTRA_URL_CAP  4096
#define ENTRA_BODY_CAP (32 * 1024)
#define ENTRA_REQUEST_INIT                                                                         \
    {                                                                                              \
        .url = TEXT_INIT(ENTRA_URL_CAP), .body = TEXT_INIT(ENTRA_BODY_CAP)                         \
    }

struct entra_source {
    const char *name; /* "the managed identity of this virtual machine" */
    /* Do the settings tell of it? */
    bool (*is_configured)(const struct settings *settings);
    /* Their form. */
    bool (*check)(const struct settings *settings, struct error *err);
    /* Made anew for each attempt: what it sends may change at any time. The caller clears *out,
     * also after a failure; text that does not fit is noticed by the caller. */
    bool (*build)(const struct settings *settings, const char *resource, struct entra_request *out,
                  struct error *err);
    int64_t connect_ms; /* 0: as the settings say */
    /* A refusal that may be another answer soon, beside what is so everywhere. */
    bool (*is_transient)(int status);
    const char *when_unreachable; /* what to do next */
    const char *when_refused;
};

extern const struct entra_source entra_workload;
extern const struct entra_source entra_app_service;
extern const struct entra_source entra_machine;

/* Appends "&client_id=..." when AZURE_CLIENT_ID is set. */
void entra_append_client_id(struct text *url, const struct settings *settings);
/* AZURE_CLIENT_ID is a UUID, if it is set. */
bool entra_check_client_id(const struct settings *settings, struct error *err);

#endif
