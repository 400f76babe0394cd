#include "store/s3/s3_sign.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "crypto/digest.h"

#define ALGORITHM       "AWS4-HMAC-SHA256"
#define STRING_CAP      (64 * 1024)
#define MOST_PARAMETERS 16
#define SCOPE_SIZE      128
#define HASH_SIZE       DIGEST_HEX_SIZE(DIGEST_SHA256_SIZE)

void s3_sign_date(char out[S3_SIGN_DATE_SIZE], int64_t instant_ms)
{
    time_t seconds = (time_t)(instant_ms / 1000);
    struct tm utc;

    gmtime_r(&seconds, &utc);
    strftime(out, S3_SIGN_DATE_SIZE, "%Y%m%dT%H%M%SZ", &utc);
}

struct span {
    const char *start;
    size_t length;
};

static int compare_spans(struct span left, struct span right)
{
    size_t shorter = left.length < right.length ? left.length : right.length;
    int order = memcmp(left.start, right.start, shorter);

    return order != 0 ? order : (left.length > right.length) - (left.length < right.length);
}

struct parameter {
    struct span name;
    struct span value;
};

static int compare_parameters(const void *a, const void *b)
{
    const struct parameter *left = a;
    const struct parameter *right = b;
    int order = compare_spans(left->name, right->name);

    return order != 0 ? order : compare_spans(left->value, right->value);
}

/* By their encoded names, then values; a name alone gets its '='. */
static bool append_query(const char *query, struct text *out)
{
    struct parameter parameters[MOST_PARAMETERS] = {{{NULL, 0}, {NULL, 0}}};
    size_t count = 0;

    while (*query != '\0') {
        size_t length = strcspn(query, "&");
        size_t name = strcspn(query, "=&");
        size_t value = name < length ? name + 1 : length;
        if (count == MOST_PARAMETERS) {
            return false;
        }
        parameters[count++] = (struct parameter){{query, name}, {query + value, length - value}};
        query += length + (query[length] == '&');
    }
    qsort(parameters, count, sizeof(parameters[0]), compare_parameters);
    for (size_t i = 0; i < count; i++) {
        text_append(out, i > 0 ? "&" : "");
        text_append_bytes(out, parameters[i].name.start, parameters[i].name.length);
        text_append(out, "=");
        text_append_bytes(out, parameters[i].value.start, parameters[i].value.length);
    }
    return true;
}

struct headers {
    const struct http_header *items[HTTP_MOST_HEADERS + 1]; /* sorted */
    size_t count;
    struct http_header host_header;
    char host[256];
};

/* Those of one name stay in the order in which they are sent. */
static int compare_headers(const void *a, const void *b)
{
    const struct http_header *const *left = a;
    const struct http_header *const *right = b;
    int order = strcasecmp((*left)->name, (*right)->name);

    return order != 0 ? order : (*left > *right) - (*left < *right);
}

/* The host is what libcurl will send: with the port, when the URL has one. */
static bool sort_headers(const struct http_request *request, struct headers *out, const char **path)
{
    const char *host = strstr(request->url, "://");

    if (host == NULL) {
        return false;
    }
    host += strlen("://");
    *path = host + strcspn(host, "/?");
    int length = snprintf(out->host, sizeof(out->host), "%.*s", (int)(*path - host), host);
    out->host_header = (struct http_header){"host", out->host};
    out->items[0] = &out->host_header;
    out->count = 1;
    for (size_t i = 0; i < request->header_count; i++) {
        out->items[out->count++] = &request->headers[i];
    }
    qsort(out->items, out->count, sizeof(out->items[0]), compare_headers);
    return length > 0 && (size_t)length < sizeof(out->host);
}

static void append_lower(struct text *out, const char *name)
{
    for (; *name != '\0'; name++) {
        char lower = (char)tolower((unsigned char)*name);
        text_append_bytes(out, &lower, 1);
    }
}

/* Runs of blanks are signed as one, those at the ends not at all. */
static void append_trimmed(struct text *out, const char *value)
{
    for (value += strspn(value, " "); *value != '\0';) {
        size_t length = strcspn(value, " ");
        text_append_bytes(out, value, length);
        value += length;
        value += strspn(value, " ");
        text_append(out, *value != '\0' ? " " : "");
    }
}

/* As the one before it. */
static bool has_same_name(const struct http_header *const *item)
{
    return strcasecmp(item[-1]->name, item[0]->name) == 0;
}

/* Values of one name are one line. */
static void append_headers(const struct headers *headers, struct text *out)
{
    for (size_t i = 0; i < headers->count; i++) {
        bool again = i > 0 && has_same_name(&headers->items[i]);
        text_append(out, again ? "," : i > 0 ? "\n" : "");
        if (!again) {
            append_lower(out, headers->items[i]->name);
            text_append(out, ":");
        }
        append_trimmed(out, headers->items[i]->value);
    }
    text_append(out, "\n");
}

static void append_names(const struct headers *headers, struct text *out)
{
    for (size_t i = 0; i < headers->count; i++) {
        if (i > 0 && has_same_name(&headers->items[i])) {
            continue;
        }
        text_append(out, i > 0 ? ";" : "");
        append_lower(out, headers->items[i]->name);
    }
}

static bool append_canonical(const struct http_request *request, const char *payload_hash,
                             struct text *names, struct text *out, struct error *err)
{
    struct headers headers;
    const char *path = NULL;
    bool ok = sort_headers(request, &headers, &path);

    if (ok) {
        size_t length = strcspn(path, "?");
        text_appendf(out, "%s\n", request->method);
        text_append_bytes(out, length > 0 ? path : "/", length > 0 ? length : 1);
        text_append(out, "\n");
        ok = append_query(path + length + (path[length] == '?'), out);
        text_append(out, "\n");
        append_headers(&headers, out);
        append_names(&headers, names);
        text_appendf(out, "\n%s\n%s", text_string(names), payload_hash);
    }
    if (!ok || out->failed || names->failed) {
        return error_set(err, ERROR_FAILED,
                         "signing a request: its URL is not as it must be, or memory is out");
    }
    return true;
}

bool s3_sign_canonical(const struct http_request *request, const char *payload_hash,
                       struct text *out, struct error *err)
{
    struct text names = TEXT_INIT(STRING_CAP);
    bool ok = append_canonical(request, payload_hash, &names, out, err);

    text_clear(&names);
    return ok;
}

static bool derive_key(const struct s3_sign_key *key, const char *date,
                       unsigned char out[DIGEST_SHA256_SIZE], struct error *err)
{
    const char *const parts[] = {key->region, key->service, "aws4_request"};
    struct text first = TEXT_INIT(STRING_CAP);

    text_appendf(&first, "AWS4%s", key->secret);
    bool ok = first.failed ? error_set_memory(err)
                           : digest_hmac_sha256(first.data, first.length, date, 8, out, err);
    for (size_t i = 0; ok && i < sizeof(parts) / sizeof(parts[0]); i++) {
        unsigned char mac[DIGEST_SHA256_SIZE];
        ok = digest_hmac_sha256(out, DIGEST_SHA256_SIZE, parts[i], strlen(parts[i]), mac, err);
        memcpy(out, mac, sizeof(mac));
    }
    if (first.data != NULL) {
        explicit_bzero(first.data, first.length);
    }
    text_clear(&first);
    return ok;
}

bool s3_sign(const struct s3_sign_key *key, const struct http_request *request, const char *date,
             const char *payload_hash, char out[S3_SIGN_SIZE], struct error *err)
{
    struct text canonical = TEXT_INIT(STRING_CAP);
    struct text names = TEXT_INIT(STRING_CAP);
    struct text string = TEXT_INIT(STRING_CAP);
    unsigned char mac[DIGEST_SHA256_SIZE];
    unsigned char signing_key[DIGEST_SHA256_SIZE];
    char hash[HASH_SIZE];
    char scope[SCOPE_SIZE];

    snprintf(scope, sizeof(scope), "%.8s/%s/%s/aws4_request", date, key->region, key->service);
    bool ok = append_canonical(request, payload_hash, &names, &canonical, err) &&
              digest_of(DIGEST_SHA256, canonical.data, canonical.length, mac, err);
    if (ok) {
        digest_format_hex(hash, mac, sizeof(mac));
        text_appendf(&string, ALGORITHM "\n%s\n%s\n%s", date, scope, hash);
        ok = derive_key(key, date, signing_key, err) &&
             digest_hmac_sha256(signing_key, sizeof(signing_key), text_string(&string),
                                string.length, mac, err);
    }
    if (ok) {
        digest_format_hex(hash, mac, sizeof(mac));
        snprintf(out, S3_SIGN_SIZE, ALGORITHM " Credential=%s/%s, SignedHeaders=%s, Signature=%s",
                 key->access_key_id, scope, text_string(&names), hash);
    }
    explicit_bzero(signing_key, sizeof(signing_key));
    text_clear(&canonical);
    text_clear(&names);
    text_clear(&string);
    return ok;
}
