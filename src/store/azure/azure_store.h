/*
 * A container of Azure Blob Storage as a store: azblob://ACCOUNT/CONTAINER[/PREFIX], reached with
 * the credentials of AZURE_STORAGE_CONNECTION_STRING, whose account must be ACCOUNT, unless that is
 * empty.
 */
#ifndef STORE_AZURE_AZURE_STORE_H
#define STORE_AZURE_AZURE_STORE_H

#include "store/store.h"

extern const struct store_kind azure_store_kind;

#endif
