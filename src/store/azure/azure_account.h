/*
 * An Azure Storage account as a connection string describes it: its name, where its blobs are, and
 * either its key or a shared access signature (SAS), or neither: then this process needs an
 * identity (identity/entra.h). Grammar: "Configure Azure Storage connection strings" (Microsoft's
 * documentation). Nothing here makes a request.
 */
#ifndef STORE_AZURE_ACCOUNT_H
#define STORE_AZURE_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define AZURE_ACCOUNT_NAME_SIZE  25
#define AZURE_ACCOUNT_KEY_SIZE   128
#define AZURE_ACCOUNT_FIELD_SIZE 64

struct azure_account {
    char name[AZURE_ACCOUNT_NAME_SIZE];
    char *endpoint; /* scheme://host[:port][/path], no '/' at the end */
    unsigned char key[AZURE_ACCOUNT_KEY_SIZE];
    size_t key_size; /* 0: there is none */
    char *sas;       /* without '?', percent-encoded as it goes on the wire; or NULL */
};

/* Registers key and SAS with base/redact.h. http:// only when the string itself says so. Without
 * AccountName, which a SAS does not need, the name is the last part of the endpoint's path or else
 * the first label of its host. The error names the part that is wrong, never its value. */
bool azure_account_parse(const char *connection_string, struct azure_account *out,
                         struct error *err);
/* The account of this name in the public cloud, with no key. */
bool azure_account_from_name(const char *name, size_t length, struct azure_account *out,
                             struct error *err);
void azure_account_clear(struct azure_account *account);

/* A field of the SAS, decoded: "se" (its end), "sp" (what it permits), ...; false, and "", when
 * there is no such field. */
bool azure_account_sas_field(const struct azure_account *account, const char *name,
                             char out[AZURE_ACCOUNT_FIELD_SIZE]);

/* The service's rule: 3 to 63 of a-z, 0-9 and single hyphens, letters or digits at both ends. */
bool azure_account_check_container(const char *name, struct error *err);

#endif
