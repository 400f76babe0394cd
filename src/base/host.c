#include "base/host.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

/* The address in host byte order; 0 for what is no dotted address. */
static uint32_t parse_dotted(const char *name, size_t length)
{
    char text[INET_ADDRSTRLEN] = "";
    struct in_addr address;

    if (length >= sizeof(text)) {
        return 0;
    }
    memcpy(text, name, length);
    return inet_pton(AF_INET, text, &address) == 1 ? ntohl(address.s_addr) : 0;
}

static bool is_one_of(const char *name, size_t length, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(names[i]) == length && strncasecmp(names[i], name, length) == 0) {
            return true;
        }
    }
    return false;
}

bool host_is_loopback(const char *name, size_t length)
{
    static const char *const names[] = {"localhost", "::1", "[::1]"};

    return is_one_of(name, length, names, sizeof(names) / sizeof(names[0])) ||
           parse_dotted(name, length) >> 24 == 127;
}

bool host_is_link_local(const char *name, size_t length)
{
    /* Where AWS has the same services for IPv6: unique local addresses (RFC 4193). */
    static const char *const names[] = {"[fd00:ec2::23]", "[fd00:ec2::254]"};

    return parse_dotted(name, length) >> 16 == (169 << 8 | 254) ||
           is_one_of(name, length, names, sizeof(names) / sizeof(names[0]));
}
