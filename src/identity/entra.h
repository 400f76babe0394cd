/*
 * Who this process is to Microsoft Entra ID where it has no credential of its own: its surroundings
 * (an AKS pod, App Service, Container Apps, a virtual machine) vouch for it, and give it tokens for
 * a resource.
 *
 * To add one: a file entra_NAME.c with a `const struct entra_source` (entra_source.h), its place in
 * the order of detection in entra.c, its settings, a stub in tests/integration/entra_stub.py.
 */
#ifndef IDENTITY_ENTRA_H
#define IDENTITY_ENTRA_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/settings.h"
#include "identity/token.h"

/* The resources that tokens are for. */
#define ENTRA_STORAGE  "https://storage.azure.com"
#define ENTRA_POSTGRES "https://ossrdbms-aad.database.windows.net"

struct entra_source;

struct entra {
    const struct entra_source *source;
    const struct settings *settings; /* borrowed */
};

/* Which source the settings tell of, in the order workload identity, App Service and Container
 * Apps, virtual machine (which needs no setting). ERROR_CONFIG for settings that are not complete
 * or have not their form. Nobody is asked yet. */
bool entra_find(const struct settings *settings, struct entra *out, struct error *err);

/* What to call it: "the workload identity". */
const char *entra_name(const struct entra *entra);

/* What ends the wait for a token. */
struct entra_patience {
    bool ignore_stop;             /* for cleaning up after a stop: tried for ten seconds */
    const atomic_bool *cancelled; /* NULL: never */
};

/* Asks for a new token. What is transient is tried again for up to two and a half minutes. May be
 * called from any thread, once libcurl is loaded. The caller clears *out. */
bool entra_request_token(const struct entra *entra, const char *resource,
                         const struct entra_patience *patience, struct token *out,
                         struct error *err);

#endif
