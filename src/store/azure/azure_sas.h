/*
 * What a shared access signature says of itself, looked at before it is used: what it permits, and
 * until when ("Create an account SAS", Microsoft's documentation).
 */
#ifndef STORE_AZURE_AZURE_SAS_H
#define STORE_AZURE_AZURE_SAS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/settings.h"
#include "store/azure/azure_account.h"
#include "store/store_credentials.h"

/* ERROR_CONFIG for one that has ended, or that does not permit what a backup needs (`immutable`:
 * with a policy). One that ends within a week is told in the log. True for an account without a
 * signature. */
bool azure_sas_check(const struct azure_account *account, bool immutable, int64_t now_ms,
                     struct error *err);

/* Adds the signatures in AZURE_STORAGE_CONNECTION_STRING and in each account's own that say when
 * they end. A string that is not one is passed over: whoever opens the store says what is wrong. */
bool azure_sas_read(const struct settings *settings, struct store_credentials *out,
                    struct error *err);

#endif
