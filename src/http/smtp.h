/*
 * One mail handed to an SMTP server (RFC 5321), with TLS (RFC 3207) and a login (RFC 4954) where
 * the server's URL asks for them. Of libcurl, which speaks HTTP for the rest of this folder.
 */
#ifndef HTTP_SMTP_H
#define HTTP_SMTP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "http/exchange.h"

struct smtp_server {
    const char *url;  /* smtp[s]://HOST[:PORT][/NAME]: NAME is what we greet it with */
    const char *user; /* NULL: without a login */
    const char *password;
    bool must_encrypt; /* of smtp://: STARTTLS, or nothing is sent */
};

struct smtp_mail {
    const char *from; /* addresses alone, in ASCII */
    const char *to;
    const char *data; /* header fields and body; lines end in CRLF */
    size_t size;
};

/* Why a mail did not go. */
enum smtp_failure {
    SMTP_REFUSED, /* the server does not take this one: *code says how (4xx, 5xx) */
    SMTP_NO_LOGIN,
    SMTP_NO_TLS,
    SMTP_NO_ANSWER,
    SMTP_STOPPED,
};

/* Keeps its connection open between mails; borrows the server. */
struct smtp_client;
struct smtp_client *smtp_client_new(const struct smtp_server *server,
                                    const struct http_limits *limits, struct error *err);
void smtp_client_free(struct smtp_client *client);

/* True once the server has taken it (250 to DATA). The error has the server's last words. */
bool smtp_send(struct smtp_client *client, const struct smtp_mail *mail, enum smtp_failure *failure,
               int *code, struct error *err);

#endif
