#include "http/base_url.h"

#include <string.h>
#include <strings.h>

#include "base/host.h"
#include "base/text.h"

/* The host without its port; NULL when the URL is not http:// or https://. */
static const char *find_host(const char *url, bool *secure, size_t *length)
{
    *secure = strncasecmp(url, "https://", 8) == 0;
    if (!*secure && strncasecmp(url, "http://", 7) != 0) {
        return NULL;
    }
    const char *host = url + (*secure ? 8 : 7);
    *length = *host == '[' ? strcspn(host, "]/") + (host[strcspn(host, "]/")] == ']')
                           : strcspn(host, ":/");
    return host;
}

static bool is_port(const char *port, size_t length)
{
    return length > 0 && length <= 5 && strspn(port, "0123456789") >= length;
}

bool http_base_url_is_valid(const char *url)
{
    bool secure;
    size_t length = 0;
    const char *host = find_host(url, &secure, &length);

    if (host == NULL || length == 0 || strpbrk(url, "?#@\\ \"<>") != NULL ||
        !text_is_printable_ascii(url)) {
        return false;
    }
    const char *end = host + length;
    return *end == '\0' || *end == '/' || (*end == ':' && is_port(end + 1, strcspn(end + 1, "/")));
}

bool http_base_url_is_private(const char *url)
{
    bool secure = false;
    size_t length = 0;
    const char *host = find_host(url, &secure, &length);

    return secure || (host != NULL && host_is_loopback(host, length));
}

bool http_base_url_is_near(const char *url)
{
    bool secure = false;
    size_t length = 0;
    const char *host = find_host(url, &secure, &length);

    return http_base_url_is_private(url) || (host != NULL && host_is_link_local(host, length));
}
