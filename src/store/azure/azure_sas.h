/*
 * What a shared access signature says of itself, looked at before it is used: what it permits, and
 * until when ("Create an account SAS", Microsoft's documentation).
 */
#ifndef STORE_AZURE_AZURE_SAS_H
#define STORE_AZURE_AZURE_SAS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "store/azure/azure_account.h"

/* ERROR_CONFIG for one that has ended, or that does not permit what a backup needs (`immutable`:
 * with a policy). One that ends within a week is told in the log. True for an account without a
 * signature. */
bool azure_sas_check(const struct azure_account *account, bool immutable, int64_t now_ms,
                     struct error *err);

#endif
