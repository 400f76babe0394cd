/*
 * The account that e-mail is sent through: what ACS_CONNECTION_STRING says,
 * "endpoint=https://RESOURCE.communication.azure.com/;accesskey=BASE64".
 */
#ifndef NOTIFY_ACS_ACCOUNT_H
#define NOTIFY_ACS_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define ACS_HOST_SIZE 264 /* a name of 255 bytes, ':' and a port */
#define ACS_KEY_SIZE  256

struct acs_account {
    char endpoint[ACS_HOST_SIZE + sizeof("https://")]; /* no '/' at the end */
    char host[ACS_HOST_SIZE]; /* as in the Host header: in lower case, a port if not the default */
    unsigned char key[ACS_KEY_SIZE];
    size_t key_size;
};

/* The key is registered for redaction. Plain http is taken for this host alone (127.0.0.1, ::1,
 * localhost). On failure the error, ERROR_CONFIG, shows nothing of the value. */
bool acs_account_parse(const char *connection_string, struct acs_account *out, struct error *err);
/* Wipes the key. */
void acs_account_clear(struct acs_account *account);

#endif
