#include "store/s3/s3_bucket.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "http/base_url.h"
#include "http/message.h"

#define OPTION_ENDPOINT  "endpoint"
#define OPTION_REGION    "region"
#define OPTION_STYLE     "style"
#define OPTION_PART_SIZE "part_size"
#define URL_CAP          2048
#define SMALLEST_PART    5 /* MiB, of S3; parts of 5 GiB are the largest */
#define LARGEST_PART     5120
#define ALNUM            "abcdefghijklmnopqrstuvwxyz0123456789"
/* Who asks another service than AWS for a region gets this one, if any. */
#define DEFAULT_REGION "us-east-1"

const char *const s3_bucket_options[] = {OPTION_ENDPOINT, OPTION_REGION, OPTION_STYLE,
                                         OPTION_PART_SIZE, NULL};

bool s3_bucket_check_endpoint(const char *name, const char *endpoint, struct error *err)
{
    if (strlen(endpoint) < URL_CAP / 2 && http_base_url_is_valid(endpoint)) {
        return true;
    }
    error_set(err, ERROR_CONFIG, "%s is not the URL of a service", name);
    return error_hint(err, "write https://HOST[:PORT]");
}

bool s3_bucket_check_region(const char *name, const char *region, struct error *err)
{
    size_t length = strlen(region);

    return (length > 0 && length < 64 && strspn(region, ALNUM "-") == length) ||
           error_set(err, ERROR_CONFIG, "%s: '%s' is not the name of a region", name, region);
}

/* https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html */
static bool check_name(const char *name, struct error *err)
{
    size_t length = strlen(name);

    if (length < 3 || length > 63 || strspn(name, ALNUM "-.") != length || strchr(".-", name[0]) ||
        strchr(".-", name[length - 1]) || strstr(name, "..") != NULL) {
        return error_set(err, ERROR_CONFIG,
                         "'%s' is not the name of a bucket: 3 to 63 lower-case letters, digits, "
                         "hyphens and dots, beginning and ending with a letter or digit",
                         name);
    }
    return true;
}

static bool set_name(const char *place, struct s3_bucket *out, struct error *err)
{
    size_t length = strcspn(place, "/");

    out->name = strndup(place, length);
    if (out->name == NULL) {
        return error_set_memory(err);
    }
    if (!check_name(out->name, err)) {
        return false;
    }
    out->folder = store_url_folder(place + length, err);
    return out->folder != NULL;
}

static bool set_part_size(const struct store_url *url, struct s3_bucket *out, struct error *err)
{
    const char *value = store_url_option(url, OPTION_PART_SIZE);
    int64_t mib = 0;

    if (value != NULL && !text_parse_integer(value, SMALLEST_PART, LARGEST_PART, &mib)) {
        return error_set(err, ERROR_CONFIG,
                         "the option '" OPTION_PART_SIZE "' must be a number of MiB, %d to %d",
                         SMALLEST_PART, LARGEST_PART);
    }
    out->part_size = (size_t)mib * 1024 * 1024;
    return true;
}

/* What stands in the URL, or in the first of these settings that is set; NULL, or *name is where it
 * stands. */
static const char *choose(const char *option, const struct settings *settings,
                          const enum setting_id *ids, size_t count, const char **name)
{
    const char *value = option;

    for (size_t i = 0; value == NULL && settings != NULL && i < count; i++) {
        value = settings_get(settings, ids[i]);
        *name = settings_table[ids[i]].name;
    }
    return value;
}

struct place {
    const char *endpoint; /* NULL: AWS */
    const char *region;   /* NULL: not known */
    bool virtual_style;
};

static bool find_place(const struct store_url *url, const struct settings *settings,
                       const struct s3_bucket *bucket, struct place *out, struct error *err)
{
    static const enum setting_id endpoints[] = {SETTING_AWS_ENDPOINT_S3, SETTING_AWS_ENDPOINT};
    static const enum setting_id regions[] = {SETTING_AWS_REGION};
    const char *style = store_url_option(url, OPTION_STYLE);
    const char *endpoint_name = "the option '" OPTION_ENDPOINT "'";
    const char *region_name = "the option '" OPTION_REGION "'";

    out->endpoint =
        choose(store_url_option(url, OPTION_ENDPOINT), settings, endpoints, 2, &endpoint_name);
    out->region = choose(store_url_option(url, OPTION_REGION), settings, regions, 1, &region_name);
    if ((out->endpoint != NULL && !s3_bucket_check_endpoint(endpoint_name, out->endpoint, err)) ||
        (out->region != NULL && !s3_bucket_check_region(region_name, out->region, err))) {
        return false;
    }
    /* The certificate of *.s3.REGION.amazonaws.com has no name with one more dot. */
    out->virtual_style = out->endpoint == NULL && strchr(bucket->name, '.') == NULL;
    if (style != NULL && strcmp(style, "path") != 0 && strcmp(style, "virtual") != 0) {
        return error_set(err, ERROR_CONFIG,
                         "the option '" OPTION_STYLE "' must be path or virtual");
    }
    if (style != NULL) {
        out->virtual_style = style[0] == 'v';
    }
    return true;
}

static bool take(struct text *text, char **out, struct error *err)
{
    if (text->failed) {
        text_clear(text);
        return error_set(err, ERROR_CONFIG, "it is too long, or memory is out");
    }
    *out = text->data;
    return true;
}

/* Without the port that is the scheme's own, for libcurl leaves it out of Host, which is signed. */
static bool set_url(const struct place *place, struct s3_bucket *out, struct error *err)
{
    struct text url = TEXT_INIT(URL_CAP);
    struct text aws = TEXT_INIT(URL_CAP);

    text_appendf(&aws, "https://s3.%s.amazonaws.com%s", out->region,
                 strncmp(out->region, "cn-", 3) == 0 ? ".cn" : "");
    const char *endpoint = place->endpoint != NULL ? place->endpoint : text_string(&aws);
    const char *host = strstr(endpoint, "://") + 3;
    size_t host_length = strcspn(host, "/");
    const char *path = host + host_length;
    size_t path_length = strlen(path);
    const char *own_port = host - endpoint == 8 ? ":443" : ":80";
    size_t port_length = strlen(own_port);

    if (host_length > port_length &&
        memcmp(host + host_length - port_length, own_port, port_length) == 0) {
        host_length -= port_length;
    }
    while (path_length > 0 && path[path_length - 1] == '/') {
        path_length--;
    }
    text_append_bytes(&url, endpoint, (size_t)(host - endpoint));
    if (place->virtual_style) {
        text_appendf(&url, "%s.", out->name);
    }
    text_append_bytes(&url, host, host_length);
    text_append_bytes(&url, path, path_length);
    if (!place->virtual_style) {
        text_appendf(&url, "/%s", out->name);
    }
    url.failed = url.failed || aws.failed;
    text_clear(&aws);
    return take(&url, &out->url, err);
}

/* The region is always in it: without one, a URL would mean another place elsewhere. */
static bool set_location(const struct place *place, struct s3_bucket *out, struct error *err)
{
    struct text location = TEXT_INIT(URL_CAP);
    bool usual = place->endpoint == NULL && strchr(out->name, '.') == NULL;

    text_appendf(&location, "s3://%s%s%s?", out->name, *out->folder != '\0' ? "/" : "",
                 out->folder);
    if (place->endpoint != NULL) {
        text_append(&location, OPTION_ENDPOINT "=");
        http_append_encoded(&location, place->endpoint, ":/");
        text_append(&location, "&");
    }
    text_appendf(&location, OPTION_REGION "=%s", out->region);
    if (place->virtual_style != usual) {
        text_appendf(&location, "&" OPTION_STYLE "=%s", place->virtual_style ? "virtual" : "path");
    }
    return take(&location, &out->location, err);
}

bool s3_bucket_parse(const struct store_url *url, const struct settings *settings,
                     struct s3_bucket *out, struct error *err)
{
    struct place place;

    *out = (struct s3_bucket){.name = NULL};
    if (!set_name(url->place, out, err) || !set_part_size(url, out, err) ||
        !find_place(url, settings, out, &place, err)) {
        return false;
    }
    if (settings == NULL) {
        return true;
    }
    if (place.region == NULL && place.endpoint == NULL) {
        error_set(err, ERROR_CONFIG, "the bucket's region is not known");
        return error_hint(err, "add ?region=REGION to the URL, or set AWS_REGION");
    }
    out->region = text_copy(place.region != NULL ? place.region : DEFAULT_REGION);
    if (out->region == NULL) {
        return error_set_memory(err);
    }
    return set_url(&place, out, err) && set_location(&place, out, err);
}

void s3_bucket_clear(struct s3_bucket *bucket)
{
    free(bucket->name);
    free(bucket->folder);
    free(bucket->region);
    free(bucket->url);
    free(bucket->location);
    *bucket = (struct s3_bucket){.name = NULL};
}
