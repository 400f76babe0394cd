#include "metrics/endpoint.h"

#include <string.h>
#include <strings.h>

#define LONGEST_URL 2048

/* Of the URL after its scheme. */
static const char *problem_of(const char *rest)
{
    size_t host = strcspn(rest, "/:");

    if (strchr(rest, '@') != NULL) {
        return "it holds a user or a password";
    }
    if (strpbrk(rest, "?#") != NULL) {
        return "it holds a query or a fragment";
    }
    if (host == 0 || strlen(rest) > LONGEST_URL) {
        return host == 0 ? "it names no host" : "it is too long";
    }
    if (!text_is_printable_ascii(rest) || strpbrk(rest, " \"<>\\^`{|}") != NULL) {
        return "it holds a character that must be percent-encoded";
    }
    return NULL;
}

bool endpoint_check(const char *url, const char *setting, struct error *err)
{
    const char *rest = strncasecmp(url, "https://", 8) == 0  ? url + 8
                       : strncasecmp(url, "http://", 7) == 0 ? url + 7
                                                             : NULL;
    const char *problem = rest != NULL ? problem_of(rest) : "it begins with neither";

    if (problem == NULL) {
        return true;
    }
    bool shown = strpbrk(url, "@?#") == NULL;
    return error_set(err, ERROR_CONFIG,
                     "%s = '%s' is not of the form http://HOST[:PORT][/PATH] or https://...: %s",
                     setting, shown ? url : "(hidden)", problem);
}

void endpoint_append(struct text *out, const char *url, const char *path)
{
    size_t length = strlen(url);

    while (length > 0 && url[length - 1] == '/') {
        length--;
    }
    text_append_bytes(out, url, length);
    text_append(out, path);
}
