/*
 * What of S3 can be tried without a service: signatures (AWS' published vectors), URLs, pages of a
 * list, the answers that identities come from.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/redact.h"
#include "base/settings.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "store/s3/s3_bucket.h"
#include "store/s3/s3_commit.h"
#include "store/s3/s3_identity.h"
#include "store/s3/s3_identity_source.h"
#include "store/s3/s3_list.h"
#include "store/s3/s3_object.h"
#include "store/s3/s3_sign.h"

static void assert_error(const struct error *err, const char *text)
{
    if (strstr(err->text, text) == NULL) {
        fail_msg("'%s' is not in: %s", text, err->text);
    }
}

/* Signatures. */

#define MOST_HEADERS 5

struct vector {
    const char *name;
    const char *method;
    const char *target;
    struct http_header headers[MOST_HEADERS];
    const char *body;
    const char *signature;
};

static void hash(const char *body, char out[DIGEST_HEX_SIZE(DIGEST_SHA256_SIZE)])
{
    struct error err = ERROR_INIT;
    unsigned char bytes[DIGEST_SHA256_SIZE];

    assert_true(digest_of(DIGEST_SHA256, body, strlen(body), bytes, &err));
    digest_format_hex(out, bytes, sizeof(bytes));
}

static void check_vector(const struct vector *vector, const struct s3_sign_key *key,
                         const char *host, const char *date)
{
    struct error err = ERROR_INIT;
    char url[512];
    char payload[DIGEST_HEX_SIZE(DIGEST_SHA256_SIZE)];
    char authorization[S3_SIGN_SIZE];

    snprintf(url, sizeof(url), "https://%s%s", host, vector->target);
    struct http_request request = {.method = vector->method, .url = url};
    hash(vector->body, payload);
    assert_true(http_request_add(&request, "X-Amz-Date", date, &err));
    if (strcmp(key->service, "s3") == 0) {
        assert_true(http_request_add(&request, "x-amz-content-sha256", payload, &err));
    }
    for (size_t i = 0; i < MOST_HEADERS && vector->headers[i].name != NULL; i++) {
        assert_true(
            http_request_add(&request, vector->headers[i].name, vector->headers[i].value, &err));
    }
    assert_true(s3_sign(key, &request, date, payload, authorization, &err));
    const char *signature = strstr(authorization, "Signature=");
    assert_non_null(signature);
    if (strcmp(signature + strlen("Signature="), vector->signature) != 0) {
        fail_msg("%s: %s", vector->name, authorization);
    }
}

/* AWS' "Signature Version 4 test suite", less those whose paths are to be normalised: S3 does not
 * do that. Host and X-Amz-Date are the same in all. */
static void test_the_published_suite(void **state)
{
    static const struct vector vectors[] = {
        {"get-header-key-duplicate",
         "GET",
         "/",
         {{"My-Header1", "value2"}, {"My-Header1", "value2"}, {"My-Header1", "value1"}},
         "",
         "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
        {"get-header-value-order",
         "GET",
         "/",
         {{"My-Header1", "value4"},
          {"My-Header1", "value1"},
          {"My-Header1", "value3"},
          {"My-Header1", "value2"}},
         "",
         "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"},
        {"get-header-value-trim",
         "GET",
         "/",
         {{"My-Header1", "value1"}, {"My-Header2", "\"a   b   c\""}},
         "",
         "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
        {"get-unreserved",
         "GET",
         "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
         {{NULL, NULL}},
         "",
         "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
        {"get-vanilla",
         "GET",
         "/",
         {{NULL, NULL}},
         "",
         "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
        {"get-vanilla-empty-query-key",
         "GET",
         "/?Param1=value1",
         {{NULL, NULL}},
         "",
         "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
        {"get-vanilla-query-order-key",
         "GET",
         "/?Param1=value2&Param1=Value1",
         {{NULL, NULL}},
         "",
         "eedbc4e291e521cf13422ffca22be7d2eb8146eecf653089df300a15b2382bd1"},
        {"get-vanilla-query-order-key-case",
         "GET",
         "/?Param2=value2&Param1=value1",
         {{NULL, NULL}},
         "",
         "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
        {"get-vanilla-query-order-value",
         "GET",
         "/?Param1=value2&Param1=value1",
         {{NULL, NULL}},
         "",
         "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694"},
        {"get-vanilla-query-unreserved",
         "GET",
         "/?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=-._~"
         "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
         {{NULL, NULL}},
         "",
         "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
        {"get-vanilla-utf8-query",
         "GET",
         "/?%E1%88%B4=bar",
         {{NULL, NULL}},
         "",
         "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
        {"post-header-key-case",
         "POST",
         "/",
         {{NULL, NULL}},
         "",
         "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
        {"post-header-key-sort",
         "POST",
         "/",
         {{"My-Header1", "value1"}},
         "",
         "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
        {"post-header-value-case",
         "POST",
         "/",
         {{"My-Header1", "VALUE1"}},
         "",
         "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"},
        {"post-vanilla",
         "POST",
         "/",
         {{NULL, NULL}},
         "",
         "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
        {"post-vanilla-empty-query-value",
         "POST",
         "/?Param1=value1",
         {{NULL, NULL}},
         "",
         "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
        {"post-vanilla-query",
         "POST",
         "/?Param1=value1",
         {{NULL, NULL}},
         "",
         "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
        {"post-x-www-form-urlencoded",
         "POST",
         "/",
         {{"Content-Type", "application/x-www-form-urlencoded"}},
         "Param1=value1",
         "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
        {"post-x-www-form-urlencoded-parameters",
         "POST",
         "/",
         {{"Content-Type", "application/x-www-form-urlencoded; charset=utf8"}},
         "Param1=value1",
         "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe"},
        {"post-sts-header-after",
         "POST",
         "/",
         {{NULL, NULL}},
         "",
         "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
        {"post-sts-header-before",
         "POST",
         "/",
         {{"X-Amz-Security-Token",
           "AQoDYXdzEPT//////////"
           "wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8Y"
           "UuwthAx7mSEI/qkPpKPi/"
           "kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE"
           "8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+"
           "scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="}},
         "",
         "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
        {"get-utf8",
         "GET",
         "/%E1%88%B4",
         {{NULL, NULL}},
         "",
         "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
    };
    const struct s3_sign_key key = {.access_key_id = "AKIDEXAMPLE",
                                    .secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                                    .region = "us-east-1",
                                    .service = "service"};

    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        check_vector(&vectors[i], &key, "example.amazonaws.com", "20150830T123600Z");
    }
}

/* https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */
static void test_the_examples_of_s3(void **state)
{
    static const struct vector vectors[] = {
        {"GET Object",
         "GET",
         "/test.txt",
         {{"Range", "bytes=0-9"}},
         "",
         "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
        {"PUT Object",
         "PUT",
         "/test%24file.text",
         {{"Date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
         "Welcome to Amazon S3.",
         "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
        {"GET Bucket Lifecycle",
         "GET",
         "/?lifecycle",
         {{NULL, NULL}},
         "",
         "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
        {"List Objects",
         "GET",
         "/?prefix=J&max-keys=2",
         {{NULL, NULL}},
         "",
         "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
    };
    const struct s3_sign_key key = {.access_key_id = "AKIAIOSFODNN7EXAMPLE",
                                    .secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                                    .region = "us-east-1",
                                    .service = "s3"};

    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        check_vector(&vectors[i], &key, "examplebucket.s3.amazonaws.com", "20130524T000000Z");
    }
}

static void test_date_of_a_signature(void **state)
{
    char date[S3_SIGN_DATE_SIZE];

    (void)state;
    s3_sign_date(date, INT64_C(1369353600123));
    assert_string_equal(date, "20130524T000000Z");
}

/* Buckets. */

static void load(struct settings *settings, const char *region, const char *endpoint)
{
    *settings = (struct settings){.values = {NULL}};
    settings->values[SETTING_AWS_REGION] = text_copy(region);
    settings->values[SETTING_AWS_ENDPOINT] = text_copy(endpoint);
}

static void test_where_a_bucket_is(void **state)
{
    static const struct {
        const char *url;
        const char *region;
        const char *endpoint;
        const char *place;
        const char *location;
    } rows[] = {
        {"s3://bkt?region=eu-west-1", NULL, NULL, "https://bkt.s3.eu-west-1.amazonaws.com",
         "s3://bkt?region=eu-west-1"},
        {"s3://bkt", "cn-north-1", NULL, "https://bkt.s3.cn-north-1.amazonaws.com.cn",
         "s3://bkt?region=cn-north-1"},
        {"s3://b.kt/a/b", "us-east-1", NULL, "https://s3.us-east-1.amazonaws.com/b.kt",
         "s3://b.kt/a/b/?region=us-east-1"},
        {"s3://b.kt?style=virtual", "us-east-1", NULL, "https://b.kt.s3.us-east-1.amazonaws.com",
         "s3://b.kt?region=us-east-1&style=virtual"},
        {"s3://bkt?endpoint=http://127.0.0.1:9000/", NULL, NULL, "http://127.0.0.1:9000/bkt",
         "s3://bkt?endpoint=http://127.0.0.1:9000/&region=us-east-1"},
        {"s3://bkt/p/", "auto", "https://id.example.org:443", "https://id.example.org/bkt",
         "s3://bkt/p/?endpoint=https://id.example.org:443&region=auto"},
        {"s3://bkt?style=virtual&endpoint=http://h:80/x", NULL, NULL, "http://bkt.h/x",
         "s3://bkt?endpoint=http://h:80/x&region=us-east-1&style=virtual"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct settings settings;
        struct store_url url;
        struct s3_bucket bucket;
        struct error err = ERROR_INIT;
        load(&settings, rows[i].region, rows[i].endpoint);
        assert_true(store_url_parse(rows[i].url, &url, &err));
        if (!s3_bucket_parse(&url, &settings, &bucket, &err)) {
            fail_msg("%s: %s", rows[i].url, err.text);
        }
        assert_string_equal(bucket.url, rows[i].place);
        assert_string_equal(bucket.location, rows[i].location);
        s3_bucket_clear(&bucket);
        store_url_clear(&url);
        settings_clear(&settings);
    }
}

static void test_urls_that_name_no_bucket(void **state)
{
    static const struct {
        const char *url;
        const char *reason;
    } rows[] = {
        {"s3://", "is not the name of a bucket"},
        {"s3://ab", "is not the name of a bucket"},
        {"s3://Bucket", "is not the name of a bucket"},
        {"s3://a..b", "is not the name of a bucket"},
        {"s3://-abc", "is not the name of a bucket"},
        {"s3://bkt/a//b", "the prefix has an empty part"},
        {"s3://bkt", "the bucket's region is not known; add ?region=REGION to the URL"},
        {"s3://bkt?region=a_b", "the option 'region': 'a_b' is not the name of a region"},
        {"s3://bkt?region=", "is not the name of a region"},
        {"s3://bkt?endpoint=minio:9000", "the option 'endpoint' is not the URL of a service"},
        {"s3://bkt?endpoint=http://u:p@h", "is not the URL of a service"},
        {"s3://bkt?region=a&style=both", "'style' must be path or virtual"},
        {"s3://bkt?region=a&part_size=4", "'part_size' must be a number of MiB, 5 to 5120"},
        {"s3://bkt?region=a&part_size=1e3", "'part_size' must be a number of MiB"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct settings settings;
        struct store_url url;
        struct s3_bucket bucket;
        struct error err = ERROR_INIT;
        load(&settings, NULL, NULL);
        assert_true(store_url_parse(rows[i].url, &url, &err));
        assert_false(s3_bucket_parse(&url, &settings, &bucket, &err));
        assert_error(&err, rows[i].reason);
        assert_int_equal(err.kind, ERROR_CONFIG);
        s3_bucket_clear(&bucket);
        store_url_clear(&url);
        settings_clear(&settings);
    }
}

/* Lists. */

#define ENTRY(key, size)                                                                           \
    "<Contents><Key>" key "</Key><ETag>&quot;e&quot;</ETag><Size>" size "</Size></Contents>"
#define LIST(inside) "<ListBucketResult xmlns=\"urn:any\">" inside "</ListBucketResult>"
#define LAST         "<IsTruncated>false</IsTruncated>"

static bool parse_list(const char *page, struct objects *out, struct text *token, struct error *err)
{
    const struct s3_list list = {.folder = "a b/", .prefix = "rythm-"};

    return s3_list_parse(&list, page, strlen(page), out, token, err);
}

static void test_page_of_a_list(void **state)
{
    struct objects objects = OBJECTS_INIT;
    struct text token = TEXT_INIT(1024);
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(
        parse_list(LIST("<EncodingType>url</EncodingType>" ENTRY("a+b/rythm-%2B", "7")
                            ENTRY("a+b/rythm-1.0123456789abcdef.meta",
                                  "3") "<IsTruncated>true</IsTruncated><NextContinuationToken>n"
                                       "</NextContinuationToken>"),
                   &objects, &token, &err));
    assert_int_equal(objects.count, 2);
    assert_string_equal(objects.items[0].name, "rythm-+");
    assert_string_equal(objects.items[1].name, "rythm-1.0123456789abcdef.meta");
    assert_string_equal(objects.items[0].etag, "\"e\"");
    assert_int_equal(objects.items[0].bytes, 7);
    assert_string_equal(text_string(&token), "n");
    assert_true(parse_list(LIST(ENTRY("a b/rythm-2", "0") LAST), &objects, &token, &err));
    assert_int_equal(objects.count, 3);
    assert_int_equal(token.length, 0);
    objects_clear(&objects);
    text_clear(&token);
}

static void test_pages_that_are_none(void **state)
{
    static const struct {
        const char *page;
        const char *reason;
    } rows[] = {
        {"", "reading XML"},
        {"<Error><Code>X</Code></Error>", "the reply is not a list of objects"},
        {LIST(ENTRY("a b/rythm-1", "7")), "does not say whether there is more of it"},
        {LIST("<IsTruncated>maybe</IsTruncated>"), "does not say whether there is more of it"},
        {LIST("<IsTruncated>true</IsTruncated>"), "does not say where its next page begins"},
        {LIST(ENTRY("b/rythm-1", "7") LAST), "is not under the prefix asked for"},
        {LIST(ENTRY("a b/other", "7") LAST), "is not under the prefix asked for"},
        {LIST(ENTRY("a b/rythm-1", "-7") LAST), "without a valid Size"},
        {LIST(ENTRY("", "7") LAST), "without a valid Key"},
        {LIST("<EncodingType>url</EncodingType>" ENTRY("a+b/rythm-%0", "7") LAST),
         "without a valid Key"},
        {LIST("<Contents><Key>a b/rythm-1</Key><Size>1</Size></Contents>" LAST),
         "its etag is missing"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct objects objects = OBJECTS_INIT;
        struct text token = TEXT_INIT(1024);
        struct error err = ERROR_INIT;
        assert_false(parse_list(rows[i].page, &objects, &token, &err));
        assert_error(&err, rows[i].reason);
        objects_clear(&objects);
        text_clear(&token);
    }
}

static void test_names_of_metadata_beside(void **state)
{
    (void)state;
    assert_int_equal(metadata_owner_length("p/x.sql.0123456789abcdef.meta"), 7);
    assert_int_equal(metadata_owner_length("x.sql.0123456789abcdeg.meta"), 0);
    assert_int_equal(metadata_owner_length("x.sql.123456789abcdef.meta"), 0);
    assert_int_equal(metadata_owner_length("x.meta"), 0);
    assert_int_equal(metadata_owner_length(".0123456789abcdef.meta"), 0);
}

static void test_metadata_that_fit(void **state)
{
    struct metadata metadata = METADATA_INIT;
    struct error err = ERROR_INIT;
    char value[METADATA_VALUE_SIZE];
    static const char *const names[] = {"a", "b", "c", "d"};

    (void)state;
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    for (size_t i = 0; i < 4; i++) {
        assert_true(s3_object_takes(&metadata));
        assert_true(metadata_set(&metadata, names[i], value, &err));
    }
    assert_false(s3_object_takes(&metadata));
    metadata_clear(&metadata);
}

static void test_number_of_parts_in_an_etag(void **state)
{
    (void)state;
    assert_int_equal(s3_commit_parts_of("\"0123456789abcdef0123456789abcdef-12\""), 12);
    assert_int_equal(s3_commit_parts_of("\"0123456789abcdef0123456789abcdef\""), 0);
    assert_int_equal(s3_commit_parts_of("\"0123456789abcdef0123456789abcdef-0\""), 0);
    assert_int_equal(s3_commit_parts_of("\"0123456789abcdef0123456789abcdef-x\""), 0);
    assert_int_equal(s3_commit_parts_of("\"a-12\""), 0);
}

/* Identities. */

static void test_keys_in_json(void **state)
{
    static const char json[] = "{\"Code\": \"Success\", \"AccessKeyId\": \"ASIA1\","
                               " \"SecretAccessKey\": \"secret-of-a-machine\", \"Token\": \"T/k=\","
                               " \"Expiration\": \"2026-05-01T12:00:00Z\"}";
    struct s3_keys keys = {.end_ms = 0};
    struct error err = ERROR_INIT;
    char text[] = "the key secret-of-a-machine is not told";

    (void)state;
    assert_true(s3_identity_parse(json, strlen(json), &keys, &err));
    assert_string_equal(keys.access_key_id, "ASIA1");
    assert_string_equal(keys.session_token, "T/k=");
    assert_int_equal(keys.end_ms, INT64_C(1777636800000));
    redact_text(text);
    assert_null(strstr(text, "machine"));
    redact_clear();
}

static void test_json_without_keys(void **state)
{
    static const struct {
        const char *json;
        const char *reason;
    } rows[] = {
        {"", "is not a JSON object"},
        {"[]", "is not a JSON object"},
        {"{}", "has no AccessKeyId"},
        {"{\"AccessKeyId\": 1}", "has no AccessKeyId"},
        {"{\"AccessKeyId\": \"a\", \"SecretAccessKey\": \"\"}", "has no SecretAccessKey"},
        {"{\"AccessKeyId\": \"a\", \"SecretAccessKey\": \"b\"}", "has no Token"},
        {"{\"AccessKeyId\": \"a\\n\"}", "AccessKeyId is longer than 255 bytes or not printable"},
        {"{\"AccessKeyId\": \"a\", \"SecretAccessKey\": \"b\", \"Token\": \"c\","
         " \"Expiration\": \"soon\"}",
         "has no valid Expiration"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct s3_keys keys = {.end_ms = 0};
        struct error err = ERROR_INIT;
        assert_false(s3_identity_parse(rows[i].json, strlen(rows[i].json), &keys, &err));
        assert_error(&err, rows[i].reason);
    }
}

static void test_settings_of_no_identity(void **state)
{
    static const struct {
        enum setting_id id;
        const char *value;
        enum setting_id other;
        const char *other_value;
        const char *reason;
    } rows[] = {
        {SETTING_AWS_ACCESS_KEY_ID, "a", SETTING_COUNT, NULL, "AWS_SECRET_ACCESS_KEY is not"},
        {SETTING_AWS_SECRET_ACCESS_KEY, "a", SETTING_COUNT, NULL, "AWS_ACCESS_KEY_ID is not"},
        {SETTING_AWS_ACCESS_KEY_ID, "a/b", SETTING_AWS_SECRET_ACCESS_KEY, "s",
         "AWS_ACCESS_KEY_ID is not the id of an access key"},
        {SETTING_AWS_TOKEN_FILE, "/f", SETTING_COUNT, NULL, "AWS_ROLE_ARN is not"},
        {SETTING_AWS_TOKEN_FILE, "/f", SETTING_AWS_ROLE_ARN, "admin", "is not the ARN of a role"},
        {SETTING_AWS_CONTAINER_PATH, "v2", SETTING_COUNT, NULL, "is not a path"},
        {SETTING_AWS_CONTAINER_URL, "http://example.org/", SETTING_COUNT, NULL,
         "is neither https nor this host"},
        {SETTING_AWS_CONTAINER_URL, "nowhere", SETTING_COUNT, NULL, "is not the URL of a service"},
        {SETTING_AWS_METADATA_DISABLED, "yes", SETTING_COUNT, NULL, "must be true or false"},
        {SETTING_AWS_METADATA_DISABLED, "TRUE", SETTING_COUNT, NULL,
         "there are no credentials for S3; set AWS_ACCESS_KEY_ID"},
        {SETTING_AWS_METADATA_ENDPOINT, "machine", SETTING_COUNT, NULL,
         "AWS_EC2_METADATA_SERVICE_ENDPOINT is not the URL"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct settings settings;
        struct s3_identity *identity = NULL;
        struct error err = ERROR_INIT;
        load(&settings, NULL, NULL);
        free(settings.values[rows[i].id]);
        settings.values[rows[i].id] = text_copy(rows[i].value);
        if (rows[i].other != SETTING_COUNT) {
            settings.values[rows[i].other] = text_copy(rows[i].other_value);
        }
        assert_false(s3_identity_new(&settings, "bucket", "us-east-1", &identity, &err));
        assert_error(&err, rows[i].reason);
        assert_int_equal(err.kind, ERROR_CONFIG);
        settings_clear(&settings);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_published_suite),
        cmocka_unit_test(test_the_examples_of_s3),
        cmocka_unit_test(test_date_of_a_signature),
        cmocka_unit_test(test_where_a_bucket_is),
        cmocka_unit_test(test_urls_that_name_no_bucket),
        cmocka_unit_test(test_page_of_a_list),
        cmocka_unit_test(test_pages_that_are_none),
        cmocka_unit_test(test_names_of_metadata_beside),
        cmocka_unit_test(test_metadata_that_fit),
        cmocka_unit_test(test_number_of_parts_in_an_etag),
        cmocka_unit_test(test_keys_in_json),
        cmocka_unit_test(test_json_without_keys),
        cmocka_unit_test(test_settings_of_no_identity),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
