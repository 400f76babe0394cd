#include "base/redact.h"

#include <ctype.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define OWN_NAME        "rythm-backup-"
#define SHORTEST_SECRET 4
#define SHORTEST_BASE64 8 /* shorter ones occur in words */
#define MOST_TOKENS     16

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of both */
static char **secrets;
static size_t secret_count;
static size_t secret_room;
static char *tokens[MOST_TOKENS]; /* a ring */
static size_t next_token;

static bool is_known(const char *secret)
{
    for (size_t i = 0; i < secret_count; i++) {
        if (strcmp(secrets[i], secret) == 0) {
            return true;
        }
    }
    return false;
}

/* For one more. */
static bool make_room(void)
{
    if (secret_count < secret_room) {
        return true;
    }
    size_t room = secret_room > 0 ? secret_room * 2 : 64;
    char **larger = reallocarray(secrets, room, sizeof(*larger));
    if (larger == NULL) {
        return false;
    }
    secrets = larger;
    secret_room = room;
    return true;
}

/* The longest comes first: masking a part of a secret would leave the rest of it in sight. */
static void remember(char *secret)
{
    size_t at = 0;

    if (secret == NULL) {
        return;
    }
    if (is_known(secret) || !make_room()) {
        explicit_bzero(secret, strlen(secret));
        free(secret);
        return;
    }
    while (at < secret_count && strlen(secrets[at]) >= strlen(secret)) {
        at++;
    }
    memmove(&secrets[at + 1], &secrets[at], (secret_count - at) * sizeof(secrets[0]));
    secrets[at] = secret;
    secret_count++;
}

static char *percent_encode(const char *plain, const char digits[16])
{
    char *encoded = malloc(strlen(plain) * 3 + 1);
    char *to = encoded;

    if (encoded == NULL) {
        return NULL;
    }
    for (const char *c = plain; *c != '\0'; c++) {
        unsigned char byte = (unsigned char)*c;
        if (isalnum(byte) || strchr("-._~", byte) != NULL) {
            *to++ = *c;
        } else {
            *to++ = '%';
            *to++ = digits[byte >> 4];
            *to++ = digits[byte & 15];
        }
    }
    *to = '\0';
    return encoded;
}

/* As some writers of JSON have it: with "\\/" for each slash. */
static char *escape_slashes(const char *plain)
{
    char *escaped = malloc(strlen(plain) * 2 + 1);
    char *to = escaped;

    if (escaped == NULL) {
        return NULL;
    }
    for (const char *c = plain; *c != '\0'; c++) {
        if (*c == '/') {
            *to++ = '\\';
        }
        *to++ = *c;
    }
    *to = '\0';
    return escaped;
}

/* What base64 makes of it where `before` bytes of the same group of three precede it: without the
 * digits at both ends, which encode its neighbours, too. NULL when nothing certain is left. */
static char *encode_base64(const char *plain, size_t before)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t bits = 8 * (before + strlen(plain));
    size_t first = (8 * before + 5) / 6;
    size_t count = bits / 6 > first ? bits / 6 - first : 0;
    char *encoded = count >= SHORTEST_BASE64 ? malloc(count + 1) : NULL;

    for (size_t i = 0; encoded != NULL && i < count; i++) {
        size_t bit = 6 * (first + i) - 8 * before;
        unsigned high = (unsigned char)plain[bit / 8];
        unsigned low = (unsigned char)plain[bit / 8 + (bit % 8 > 2 ? 1 : 0)];
        encoded[i] = digits[((high << 8 | low) >> (10 - bit % 8)) & 63];
    }
    if (encoded != NULL) {
        encoded[count] = '\0';
    }
    return encoded;
}

void redact_register(const char *secret)
{
    /* A password that is part of our own name would mask the name of every backup. */
    if (secret == NULL || strlen(secret) < SHORTEST_SECRET || strstr(OWN_NAME, secret) != NULL) {
        return;
    }
    pthread_mutex_lock(&lock);
    remember(strdup(secret));
    remember(percent_encode(secret, "0123456789ABCDEF"));
    remember(percent_encode(secret, "0123456789abcdef"));
    remember(escape_slashes(secret));
    for (size_t before = 0; before < 3; before++) {
        remember(encode_base64(secret, before));
    }
    pthread_mutex_unlock(&lock);
}

static void forget(char **secret)
{
    if (*secret != NULL) {
        explicit_bzero(*secret, strlen(*secret));
        free(*secret);
        *secret = NULL;
    }
}

void redact_register_token(const char *token)
{
    pthread_mutex_lock(&lock);
    bool known = strlen(token) < SHORTEST_SECRET;
    for (size_t i = 0; i < MOST_TOKENS; i++) {
        known = known || (tokens[i] != NULL && strcmp(tokens[i], token) == 0);
    }
    if (!known) {
        forget(&tokens[next_token]);
        tokens[next_token] = strdup(token);
        next_token = (next_token + 1) % MOST_TOKENS;
    }
    pthread_mutex_unlock(&lock);
}

void redact_clear(void)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < secret_count; i++) {
        forget(&secrets[i]);
    }
    free(secrets);
    secrets = NULL;
    secret_count = 0;
    secret_room = 0;
    for (size_t i = 0; i < MOST_TOKENS; i++) {
        forget(&tokens[i]);
    }
    pthread_mutex_unlock(&lock);
}

/* Replaces `length` bytes at `at` by "***" (fewer when there is less room) and closes the gap. */
static char *mask(char *at, size_t length)
{
    size_t stars = length < 3 ? length : 3;

    memset(at, '*', stars);
    memmove(at + stars, at + length, strlen(at + length) + 1);
    return at + stars;
}

/* In a quoted value blanks belong to it; otherwise it ends at white space or a delimiter. */
static size_t value_length(const char *value, const char *delimiters)
{
    if (*value == '\'' || *value == '"') {
        size_t length = 1;
        while (value[length] != '\0' && value[length] != value[0]) {
            length += value[length] == '\\' && value[length + 1] != '\0' ? 2 : 1;
        }
        return value[length] != '\0' ? length + 1 : length;
    }
    return strcspn(value, delimiters);
}

/* Blanks may stand around the sign: libpq takes "password = x", headers are "Name: x". NULL when
 * what follows the name is not its value. */
static char *find_value(char *after_name, char sign)
{
    char *at = after_name + strspn(after_name, " \t");

    return *at == sign ? at + 1 + strspn(at + 1, " \t") : NULL;
}

static void mask_announced(char *text)
{
    static const struct {
        const char *name;
        char sign;
        const char *delimiters;
    } announcements[] = {
        {"password", '=', " \t\r\n;&"},   {"accountkey", '=', " \t\r\n;\""},
        {"accesskey", '=', " \t\r\n;\""}, {"sharedaccesssignature", '=', " \t\r\n;\""},
        {"sig", '=', " \t\r\n;&\"<"},     {"authorization", ':', "\r\n"},
    };

    for (size_t i = 0; i < sizeof(announcements) / sizeof(announcements[0]); i++) {
        const char *name = announcements[i].name;
        for (char *at = strcasestr(text, name); at != NULL; at = strcasestr(at, name)) {
            at += strlen(name);
            char *value = find_value(at, announcements[i].sign);
            if (value != NULL) {
                at = mask(value, value_length(value, announcements[i].delimiters));
            }
        }
    }
}

/* scheme://user:password@host; an unescaped '@' inside the password counts as part of it. */
static void mask_userinfo(char *text)
{
    for (char *at = strstr(text, "://"); at != NULL; at = strstr(at, "://")) {
        at += 3;
        size_t authority = strcspn(at, " \t\"'<>");
        char *last = memrchr(at, '@', authority);
        char *colon = memchr(at, ':', authority);
        if (last != NULL && colon != NULL && colon < last) {
            at = mask(colon + 1, (size_t)(last - colon - 1));
        }
    }
}

static void mask_each(char *text, const char *secret)
{
    for (char *at = strstr(text, secret); at != NULL; at = strstr(at, secret)) {
        at = mask(at, strlen(secret));
    }
}

static void mask_all(char *text)
{
    for (size_t i = 0; i < secret_count; i++) {
        mask_each(text, secrets[i]);
    }
    for (size_t i = 0; i < MOST_TOKENS; i++) {
        if (tokens[i] != NULL) {
            mask_each(text, tokens[i]);
        }
    }
    mask_announced(text);
    mask_userinfo(text);
}

/* False when the text does not end in the beginning of this secret. */
static bool mask_tail(char *text, const char *secret)
{
    size_t length = strlen(text);
    size_t part = strlen(secret) - 1;

    for (part = part < length ? part : length; part >= SHORTEST_SECRET; part--) {
        if (memcmp(text + length - part, secret, part) == 0) {
            mask(text + length - part, part);
            return true;
        }
    }
    return false;
}

/* The longest beginning of a secret at the end. */
static void mask_beginning(char *text)
{
    bool masked = false;

    for (size_t i = 0; !masked && i < secret_count; i++) {
        masked = mask_tail(text, secrets[i]);
    }
    for (size_t i = 0; !masked && i < MOST_TOKENS; i++) {
        masked = tokens[i] != NULL && mask_tail(text, tokens[i]);
    }
}

void redact_text(char *text)
{
    pthread_mutex_lock(&lock);
    mask_all(text);
    pthread_mutex_unlock(&lock);
}

void redact_cut(char *text)
{
    pthread_mutex_lock(&lock);
    mask_all(text);
    mask_beginning(text);
    pthread_mutex_unlock(&lock);
}

void redact_copy(char *out, size_t size, const char *text, size_t length)
{
    size_t taken = length < size ? length : size - 1;

    memcpy(out, text, taken);
    out[taken] = '\0';
    if (taken < length) {
        redact_cut(out);
    } else {
        redact_text(out);
    }
    text_cut_utf8(out);
}
