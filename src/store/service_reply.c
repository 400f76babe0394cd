#include "store/service_reply.h"

#include <string.h>

#include "base/clock.h"
#include "store/xml.h"

#define SKEW_MS (5 * 60 * 1000)

void service_reply_element(const struct http_reply *reply, const char *name, struct text *out)
{
    struct error ignored = ERROR_INIT;

    if (reply->body.length == 0) {
        return;
    }
    /* Blanks may have kept the connection alive until there was an answer. */
    size_t blanks = strspn(text_string(&reply->body), " \t\r\n");
    struct xml *xml = xml_parse(reply->body.data + blanks, reply->body.length - blanks, &ignored);
    if (xml != NULL) {
        const struct xml_node *root = xml_root(xml);
        xml_child_text(strcmp(xml_name(root), "Error") == 0 ? root : xml_first(root, "Error"), name,
                       out);
    }
    xml_free(xml);
}

void service_reply_hint_clock(const struct http_reply *reply, struct error *err)
{
    char date[CLOCK_HTTP_SIZE];
    int64_t theirs;

    if (http_reply_header(reply, "Date", date, sizeof(date)) && clock_parse_http(date, &theirs)) {
        int64_t ahead = clock_utc_ms() - theirs;
        if (ahead > SKEW_MS || ahead < -SKEW_MS) {
            error_hint(err, "this host's clock is %lld s %s the service's: correct it",
                       (long long)(ahead > 0 ? ahead : -ahead) / 1000,
                       ahead > 0 ? "ahead of" : "behind");
        }
    }
}

bool service_reply_is_one_of(const char *code, const char *const codes[])
{
    for (size_t i = 0; codes[i] != NULL; i++) {
        if (strcmp(code, codes[i]) == 0) {
            return true;
        }
    }
    return false;
}
