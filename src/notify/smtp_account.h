/*
 * The server that e-mail is sent through: what SMTP_URL says,
 * smtp[s]://[USER:PASSWORD@]HOST[:PORT][/NAME].
 */
#ifndef NOTIFY_SMTP_ACCOUNT_H
#define NOTIFY_SMTP_ACCOUNT_H

#include <stdbool.h>

#include "base/error.h"

#define SMTP_URL_SIZE   600
#define SMTP_LOGIN_SIZE 1024

struct smtp_account {
    char url[SMTP_URL_SIZE]; /* without user and password */
    bool has_login;
    char user[SMTP_LOGIN_SIZE];
    char password[SMTP_LOGIN_SIZE];
    /* smtp:// to another host: STARTTLS, or nothing is sent. To this host itself TLS is not used:
     * the certificates of a relay of one's own are seldom anybody's. */
    bool must_encrypt;
};

/* The password is registered for redaction. On failure the error, ERROR_CONFIG, shows nothing of
 * the value. */
bool smtp_account_parse(const char *url, struct smtp_account *out, struct error *err);
/* Wipes the password. */
void smtp_account_clear(struct smtp_account *account);

#endif
