/*
 * The Shared Key signature of a request to Azure Storage ("Authorize with Shared Key", the version
 * for the Blob service from 2015-02-21 on).
 *
 * The service sorts header names by a culture's rules, we by strcmp(): the two agree because the
 * names of metadata are [a-z][a-z0-9]* (store/metadata.h).
 */
#ifndef STORE_AZURE_AZURE_SIGN_H
#define STORE_AZURE_AZURE_SIGN_H

#include <stdbool.h>

#include "base/error.h"
#include "base/text.h"
#include "http/exchange.h"
#include "store/azure/azure_account.h"

/* What is signed, for the request exactly as it will go on the wire. */
bool azure_sign_string(const struct azure_account *account, const struct http_request *request,
                       struct text *out, struct error *err);

/* The value of the Authorization header for this request, which must have its x-ms-date. */
#define AZURE_SIGN_SIZE 96
bool azure_sign(const struct azure_account *account, const struct http_request *request,
                char out[AZURE_SIGN_SIZE], struct error *err);

#endif
