#include "notify/acs_sign.h"

#include <stdio.h>

#include "base/text.h"

#define STRING_TO_SIGN_CAP 4096

bool acs_sign(const struct acs_account *account, const struct acs_signed_request *request,
              int64_t now_utc_ms, struct acs_signature *out, struct error *err)
{
    unsigned char digest[DIGEST_SHA256_SIZE];
    char signature[BASE64_SIZE(DIGEST_SHA256_SIZE)];
    struct text to_sign = TEXT_INIT(STRING_TO_SIGN_CAP);

    if (!digest_of(DIGEST_SHA256, request->body, request->body_size, digest, err)) {
        return error_prefix(err, "signing an e-mail request");
    }
    base64_encode(out->content_hash, digest, sizeof(digest));
    clock_format_http(out->date, now_utc_ms);
    text_appendf(&to_sign, "%s\n%s\n%s;%s;%s", request->method, request->path_and_query, out->date,
                 account->host, out->content_hash);
    bool ok = to_sign.failed
                  ? error_set_memory(err)
                  : digest_hmac_sha256(account->key, account->key_size, text_string(&to_sign),
                                       to_sign.length, digest, err);
    text_clear(&to_sign);
    if (!ok) {
        return error_prefix(err, "signing an e-mail request");
    }
    base64_encode(signature, digest, sizeof(digest));
    snprintf(out->authorization, sizeof(out->authorization),
             "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=%s",
             signature);
    return true;
}
