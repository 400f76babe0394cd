/*
 * A message in the words of an e-mail: subject, plain text and HTML. Pure.
 */
#ifndef NOTIFY_MAIL_TEXT_H
#define NOTIFY_MAIL_TEXT_H

#include <stdbool.h>

#include "base/error.h"
#include "notify/message.h"

struct mail_text {
    char *subject;
    char *plain_text; /* lines end in LF */
    char *html;       /* everything from outside escaped */
};

/* The caller clears it, also after a failure. */
bool mail_text_format(const struct message *message, struct mail_text *out, struct error *err);
void mail_text_clear(struct mail_text *text);

#endif
