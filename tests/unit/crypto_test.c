/*
 * Digests, HMAC, base64 and random bytes, against published vectors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "crypto/base64.h"
#include "crypto/digest.h"
#include "crypto/random.h"

static void assert_hex(const unsigned char *bytes, size_t size, const char *hex)
{
    char out[DIGEST_HEX_SIZE(DIGEST_SHA256_SIZE)];

    assert_true(size <= DIGEST_SHA256_SIZE);
    digest_format_hex(out, bytes, size);
    assert_string_equal(out, hex);
}

/* RFC 1321 A.5 and FIPS 180-4's example. */
static void digests_of_known_messages(void **state)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz";
    unsigned char out[DIGEST_SHA256_SIZE];
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(digest_of(DIGEST_MD5, NULL, 0, out, &err));
    assert_hex(out, DIGEST_MD5_SIZE, "d41d8cd98f00b204e9800998ecf8427e");
    assert_true(digest_of(DIGEST_MD5, alphabet, 26, out, &err));
    assert_hex(out, DIGEST_MD5_SIZE, "c3fcd3d76192e4007dfb496cca67e13b");
    assert_true(digest_of(DIGEST_SHA256, "abc", 3, out, &err));
    assert_hex(out, DIGEST_SHA256_SIZE,
               "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void digest_in_pieces_is_digest_of_the_whole(void **state)
{
    static const char message[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    unsigned char out[DIGEST_SHA256_SIZE];
    struct error err = ERROR_INIT;

    (void)state;
    struct digest *digest = digest_new(DIGEST_SHA256, &err);
    assert_non_null(digest);
    for (size_t i = 0; i < sizeof(message) - 1; i++) {
        assert_true(digest_update(digest, message + i, 1, &err));
    }
    assert_true(digest_update(digest, message, 0, &err));
    assert_true(digest_final(digest, out, &err));
    digest_free(digest);
    digest_free(NULL);
    assert_hex(out, DIGEST_SHA256_SIZE,
               "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

/* RFC 4231, test cases 1, 2 and 6 (a key longer than the hash's block). */
static void hmac_of_known_messages(void **state)
{
    unsigned char key[131];
    unsigned char out[DIGEST_SHA256_SIZE];
    static const char long_message[] = "Test Using Larger Than Block-Size Key - Hash Key First";
    struct error err = ERROR_INIT;

    (void)state;
    memset(key, 0x0b, 20);
    assert_true(digest_hmac_sha256(key, 20, "Hi There", 8, out, &err));
    assert_hex(out, sizeof(out),
               "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_true(digest_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, out, &err));
    assert_hex(out, sizeof(out),
               "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof(key));
    assert_true(
        digest_hmac_sha256(key, sizeof(key), long_message, sizeof(long_message) - 1, out, &err));
    assert_hex(out, sizeof(out),
               "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* A request to Azure Communication Services: what its clients compute for it. */
static void hmac_of_a_signed_request(void **state)
{
    static const char body[] = "{\"senderAddress\":\"a@b.c\"}";
    unsigned char key[64];
    unsigned char out[DIGEST_SHA256_SIZE];
    char hash[BASE64_SIZE(DIGEST_SHA256_SIZE)];
    char signature[BASE64_SIZE(DIGEST_SHA256_SIZE)];
    char string[512];
    size_t key_size;
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(
        base64_decode("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", key, sizeof(key), &key_size));
    assert_true(digest_of(DIGEST_SHA256, body, sizeof(body) - 1, out, &err));
    base64_encode(hash, out, sizeof(out));
    assert_string_equal(hash, "JppGVhXOsxjTDFEjYrQyeJE/eLwcSbSYvYuKFodVIO0=");
    int length = snprintf(string, sizeof(string),
                          "POST\n/emails:send?api-version=2023-03-31\n"
                          "Fri, 01 May 2026 12:00:00 GMT;contoso.communication.azure.com;%s",
                          hash);
    assert_true(length > 0 && (size_t)length < sizeof(string));
    assert_true(digest_hmac_sha256(key, key_size, string, (size_t)length, out, &err));
    base64_encode(signature, out, sizeof(out));
    assert_string_equal(signature, "E22Zy8da6mD7+Qz88xyYENblr9xgjZpKojX9l7dQ9Rg=");
}

/* RFC 4648 section 10. */
static const struct {
    const char *plain;
    const char *text;
} base64_vectors[] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
};

static void base64_of_known_texts(void **state)
{
    char text[BASE64_SIZE(6)];
    unsigned char plain[6];
    size_t size;

    (void)state;
    for (size_t i = 0; i < sizeof(base64_vectors) / sizeof(base64_vectors[0]); i++) {
        const char *expected = base64_vectors[i].plain;
        base64_encode(text, expected, strlen(expected));
        assert_string_equal(text, base64_vectors[i].text);
        assert_true(base64_decode(text, plain, sizeof(plain), &size));
        assert_int_equal(size, strlen(expected));
        assert_memory_equal(plain, expected, size);
    }
}

static void base64_of_every_byte(void **state)
{
    unsigned char bytes[256];
    unsigned char back[256];
    char text[BASE64_SIZE(256)];
    size_t size;

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (unsigned char)i;
    }
    base64_encode(text, bytes, sizeof(bytes));
    assert_int_equal(strlen(text), sizeof(text) - 1);
    assert_non_null(strchr(text, '+'));
    assert_non_null(strchr(text, '/'));
    assert_true(base64_decode(text, back, sizeof(back), &size));
    assert_int_equal(size, sizeof(back));
    assert_memory_equal(back, bytes, size);
}

static void base64_refuses_everything_else(void **state)
{
    static const char *const wrong[] = {
        "Z",    "Zg",   "Zg=",  "Zm9",      "Zm9v\n", " Zm9v", "Zm9v Zm9", "Zm-v",
        "Zm_v", "====", "Z===", "Zg==Zm9v", "Zm=v",   "Zh==",  "Zm9=",     "=Zm9",
    };
    unsigned char out[16];
    size_t size;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (base64_decode(wrong[i], out, sizeof(out), &size)) {
            fail_msg("'%s' was taken for base64", wrong[i]);
        }
    }
    assert_false(base64_decode("Zm9vYmFy", out, 5, &size));
}

static void uuids_are_of_version_4_and_differ(void **state)
{
    char first[RANDOM_UUID_SIZE];
    char second[RANDOM_UUID_SIZE];
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(random_uuid(first, &err));
    assert_true(random_uuid(second, &err));
    assert_string_not_equal(first, second);
    assert_int_equal(strlen(first), 36);
    for (size_t i = 0; i < 36; i++) {
        bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        assert_non_null(strchr(hyphen ? "-" : "0123456789abcdef", first[i]));
    }
    assert_int_equal(first[14], '4');
    assert_non_null(strchr("89ab", first[19]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_of_known_messages),
        cmocka_unit_test(digest_in_pieces_is_digest_of_the_whole),
        cmocka_unit_test(hmac_of_known_messages),
        cmocka_unit_test(hmac_of_a_signed_request),
        cmocka_unit_test(base64_of_known_texts),
        cmocka_unit_test(base64_of_every_byte),
        cmocka_unit_test(base64_refuses_everything_else),
        cmocka_unit_test(uuids_are_of_version_4_and_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
