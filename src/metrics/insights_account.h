/*
 * APPLICATIONINSIGHTS_CONNECTION_STRING (Azure Monitor, "Connection strings in Application
 * Insights"): to whom telemetry goes, and where.
 */
#ifndef METRICS_INSIGHTS_ACCOUNT_H
#define METRICS_INSIGHTS_ACCOUNT_H

#include <stdbool.h>

#include "base/error.h"
#include "base/text.h"

struct insights_account {
    char key[37];    /* the instrumentation key, a UUID */
    struct text url; /* of the endpoint that takes telemetry */
};
#define INSIGHTS_ACCOUNT_INIT                                                                      \
    {                                                                                              \
        .url = TEXT_INIT(4096)                                                                     \
    }

/* The endpoint is IngestionEndpoint, else made of EndpointSuffix and Location, else the global one.
 * The error, ERROR_CONFIG, shows nothing of the value. The caller clears it, after a failure, too.
 */
bool insights_account_parse(const char *connection_string, struct insights_account *out,
                            struct error *err);
void insights_account_clear(struct insights_account *account);

#endif
