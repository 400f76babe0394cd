/*
 * A mail as it goes over the wire: header fields (RFC 5322) and one MIME message with text and HTML
 * (RFC 2046, multipart/alternative; RFC 2045, quoted-printable). Pure.
 */
#ifndef NOTIFY_SMTP_MESSAGE_H
#define NOTIFY_SMTP_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"
#include "notify/channel.h"

/* An address, with "<" and ">", that stands for this mail wherever it is sent again. */
#define SMTP_MESSAGE_ID_SIZE 512
void smtp_message_format_id(const struct parcel *mail, char out[SMTP_MESSAGE_ID_SIZE]);

/* Lines end in CRLF and are short; nothing in subject and bodies can add a field or a part. The
 * addresses are the caller's to check. The caller clears *out. */
bool smtp_message_format(const struct parcel *mail, int64_t now_utc_ms, struct text *out,
                         struct error *err);

#endif
