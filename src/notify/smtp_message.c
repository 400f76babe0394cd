#include "notify/smtp_message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/base64.h"

#define MESSAGE_CAP  (1024 * 1024)
#define LONGEST_LINE 76 /* RFC 2045, section 6.7 */
#define WORD_BYTES   42 /* of text in an encoded word, which has at most 75 characters (RFC 2047) */
#define MOST_SUBJECT 500

static bool is_continuation(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

/* Encoded words, each of whole characters, on lines of their own. */
static void append_subject(struct text *out, const char *subject)
{
    char word[BASE64_SIZE(WORD_BYTES)];
    char *rest = strndup(subject, MOST_SUBJECT);

    if (rest == NULL) {
        out->failed = true;
        return;
    }
    text_cut_utf8(rest);
    text_append(out, "Subject:");
    for (const char *from = rest; *from != '\0';) {
        size_t length = strlen(from);
        if (length > WORD_BYTES) {
            length = WORD_BYTES;
            while (length > 1 && is_continuation(from[length])) {
                length--;
            }
        }
        base64_encode(word, from, length);
        text_appendf(out, " =?UTF-8?B?%s?=\r\n", word);
        from += length;
    }
    text_append(out, *rest == '\0' ? "\r\n" : "");
    free(rest);
}

static void append_quoted(struct text *out, const char *string)
{
    size_t column = 0;

    for (const char *c = string; *c != '\0'; c++) {
        unsigned char byte = (unsigned char)*c;
        char encoded[4];
        if (*c == '\n' || (*c == '\r' && c[1] == '\n')) {
            c += *c == '\r';
            text_append(out, "\r\n");
            column = 0;
            continue;
        }
        bool at_end = c[1] == '\n' || c[1] == '\r' || c[1] == '\0';
        bool plain = byte >= 33 && byte <= 126 && byte != '=' && !(byte == '.' && column == 0);
        plain = plain || ((byte == ' ' || byte == '\t') && !at_end);
        snprintf(encoded, sizeof(encoded), plain ? "%c" : "=%02X", byte);
        if (column + strlen(encoded) >= LONGEST_LINE) {
            text_append(out, "=\r\n");
            column = 0;
        }
        text_append(out, encoded);
        column += strlen(encoded);
    }
    text_append(out, "\r\n");
}

static void append_part(struct text *out, const char *boundary, const char *type, const char *body)
{
    text_appendf(out,
                 "--%s\r\nContent-Type: %s; charset=utf-8\r\n"
                 "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
                 boundary, type);
    append_quoted(out, body);
}

void smtp_message_format_id(const struct parcel *mail, char out[SMTP_MESSAGE_ID_SIZE])
{
    const char *at = strrchr(mail->from, '@');

    snprintf(out, SMTP_MESSAGE_ID_SIZE, "<%s%s>", mail->id, at != NULL ? at : "@localhost");
}

bool smtp_message_format(const struct parcel *mail, int64_t now_utc_ms, struct text *out,
                         struct error *err)
{
    char date[CLOCK_HTTP_SIZE];
    char id[SMTP_MESSAGE_ID_SIZE];
    char boundary[64];

    *out = (struct text)TEXT_INIT(MESSAGE_CAP);
    clock_format_http(date, now_utc_ms);
    smtp_message_format_id(mail, id);
    snprintf(boundary, sizeof(boundary), "=_%.50s", mail->id);
    text_appendf(out, "From: <%s>\r\nTo: <%s>\r\n", mail->from, mail->to);
    append_subject(out, mail->subject);
    /* RFC 5322, section 3.3: "GMT" is obsolete. */
    text_appendf(
        out,
        "Date: %.*s +0000\r\nMessage-ID: %s\r\nAuto-Submitted: auto-generated\r\n"
        "MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=\"%s\"\r\n\r\n",
        (int)(strlen(date) - strlen(" GMT")), date, id, boundary);
    append_part(out, boundary, "text/plain", mail->plain_text);
    append_part(out, boundary, "text/html", mail->html);
    text_appendf(out, "--%s--\r\n", boundary);
    return out->failed ? error_set_memory(err) : true;
}
