#include "notify/smtp_account.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/host.h"
#include "base/redact.h"
#include "base/text.h"

#define SETTING      "SMTP_URL"
#define LONGEST_URL  4096
#define LONGEST_HOST 255

static bool malformed(struct error *err, const char *why)
{
    error_set(err, ERROR_CONFIG, SETTING ": %s (its value is not shown)", why);
    return error_hint(err, "the form is smtp://USER:PASSWORD@HOST:587 or smtps://..., with what is "
                           "special in USER and PASSWORD percent-encoded");
}

/* The part before the '@'. */
static bool parse_login(const char *login, size_t length, struct smtp_account *out,
                        struct error *err)
{
    char both[2 * SMTP_LOGIN_SIZE];

    snprintf(both, sizeof(both), "%.*s", (int)length, login);
    char *colon = strchr(both, ':');
    if (colon == NULL || length >= sizeof(both)) {
        explicit_bzero(both, sizeof(both));
        return malformed(err, "there is a user without a password");
    }
    *colon = '\0';
    redact_register(colon + 1);
    bool ok = text_decode_percent(out->user, sizeof(out->user), both) &&
              text_decode_percent(out->password, sizeof(out->password), colon + 1);
    explicit_bzero(both, sizeof(both));
    if (!ok || out->user[0] == '\0' || out->password[0] == '\0' ||
        strpbrk(out->user, "\r\n") != NULL || strpbrk(out->password, "\r\n") != NULL) {
        return malformed(err, "user or password is empty, too long or not percent-encoded");
    }
    redact_register(out->password);
    out->has_login = true;
    return true;
}

static bool is_host(const char *host, size_t length)
{
    if (length > 0 && *host == '[') {
        return length > 2 && host[length - 1] == ']' &&
               strspn(host + 1, "0123456789abcdefABCDEF:.") == length - 2;
    }
    for (size_t i = 0; i < length; i++) {
        if (isalnum((unsigned char)host[i]) == 0 && strchr("-._", host[i]) == NULL) {
            return false;
        }
    }
    return length > 0 && length <= LONGEST_HOST && host[0] != '-' && host[0] != '.';
}

/* What follows the host: a port, a name to greet with. */
static bool check_rest(const char *rest, struct error *err)
{
    char port[8];
    int64_t number;

    if (*rest == ':') {
        size_t length = strcspn(++rest, "/");
        snprintf(port, sizeof(port), "%.*s", (int)length, rest);
        if (length >= sizeof(port) || !text_parse_integer(port, 1, 65535, &number)) {
            return malformed(err, "the port is not a number between 1 and 65535");
        }
        rest += length;
    }
    if (*rest == '/' && !(rest[1] == '\0' || is_host(rest + 1, strlen(rest + 1)))) {
        return malformed(err, "what follows the '/' is not a host's name");
    }
    return true;
}

static bool parse(const char *url, struct smtp_account *out, struct error *err)
{
    bool secure = strncasecmp(url, "smtps://", 8) == 0;

    if (!secure && strncasecmp(url, "smtp://", 7) != 0) {
        return malformed(err, "it does not begin with smtp:// or smtps://");
    }
    if (strlen(url) > LONGEST_URL || !text_is_printable_ascii(url) || strpbrk(url, "?# ") != NULL) {
        return malformed(err, "it is too long, or has a '?', a '#', a blank or a letter that is "
                              "not ASCII");
    }
    const char *rest = url + (secure ? 8 : 7);
    const char *at = strrchr(rest, '@');
    if (at != NULL) {
        if (!parse_login(rest, (size_t)(at - rest), out, err)) {
            return false;
        }
        rest = at + 1;
    }
    size_t length = *rest == '[' ? strcspn(rest, "]") + 1 : strcspn(rest, ":/");
    if (length > strlen(rest) || !is_host(rest, length) || strchr(":/", rest[length]) == NULL) {
        return malformed(err, "it has no host, or one that is no name");
    }
    if (!check_rest(rest + length, err)) {
        return false;
    }
    out->must_encrypt = !secure && !host_is_loopback(rest, length);
    snprintf(out->url, sizeof(out->url), "%s%s", secure ? "smtps://" : "smtp://", rest);
    return strlen(rest) < sizeof(out->url) - 8 || malformed(err, "it is too long");
}

bool smtp_account_parse(const char *url, struct smtp_account *out, struct error *err)
{
    struct smtp_account account = {.has_login = false};
    bool ok = parse(url, &account, err);

    if (ok) {
        *out = account;
    }
    smtp_account_clear(&account);
    return ok;
}

void smtp_account_clear(struct smtp_account *account)
{
    explicit_bzero(account, sizeof(*account));
}
