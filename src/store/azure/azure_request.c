#include "store/azure/azure_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/redact.h"
#include "base/text.h"
#include "crypto/random.h"
#include "store/azure/azure_sign.h"
#include "store/service_reply.h"

#define URL_CAP         (32 * 1024)
#define MESSAGE_CAP     8192
#define MOST_RESENDINGS 2
#define META_PREFIX     "x-ms-meta-"

/* What the attempts of one operation have come to. */
struct effort {
    int resendings;
    int renewals;      /* of a refused token */
    struct text token; /* the last one used; empty: none */
};
#define EFFORT_INIT                                                                                \
    {                                                                                              \
        .token = TEXT_INIT(TOKEN_CAP)                                                              \
    }

static void effort_clear(struct effort *effort)
{
    if (effort->token.data != NULL) {
        explicit_bzero(effort->token.data, effort->token.capacity);
    }
    text_clear(&effort->token);
}

/* What one attempt sends, and the texts that its headers borrow. */
struct attempt {
    struct http_request request;
    struct text url;
    char date[CLOCK_HTTP_SIZE];
    char id[RANDOM_UUID_SIZE];
    char authorization[AZURE_SIGN_SIZE];
    struct text bearer;
    char meta_names[METADATA_MOST][sizeof(META_PREFIX) + METADATA_NAME_SIZE];
};

static bool build_url(const struct azure_session *session, const struct azure_request *request,
                      struct text *url, struct error *err)
{
    text_appendf(url, "%s/%s", session->account->endpoint, session->container);
    if (request->blob != NULL) {
        text_append(url, "/");
        http_append_encoded(url, request->blob, "/");
    }
    char separator = '?';
    for (int i = 0; i < AZURE_REQUEST_MOST_PARAMETERS && request->parameters[i].name != NULL; i++) {
        text_appendf(url, "%c%s=", separator, request->parameters[i].name);
        http_append_encoded(url, request->parameters[i].value, "");
        separator = '&';
    }
    if (session->account->sas != NULL) {
        text_appendf(url, "%c%s", separator, session->account->sas);
    }
    if (url->failed) {
        return error_set(err, ERROR_FAILED, "building a URL: too long, or out of memory");
    }
    return true;
}

static bool add_encryption(struct http_request *http, const struct azure_session *session,
                           enum azure_encryption encryption, struct error *err)
{
    const struct azure_options *options = session->options;

    if (encryption == AZURE_ENCRYPTION_WRITE && options->scope[0] != '\0') {
        return http_request_add(http, "x-ms-encryption-scope", options->scope, err);
    }
    if (encryption == AZURE_ENCRYPTION_NONE || options->key[0] == '\0') {
        return true;
    }
    return http_request_add(http, "x-ms-encryption-key", options->key, err) &&
           http_request_add(http, "x-ms-encryption-key-sha256", options->key_sha256, err) &&
           http_request_add(http, "x-ms-encryption-algorithm", "AES256", err);
}

static bool add_headers(struct attempt *attempt, const struct azure_request *request,
                        struct error *err)
{
    struct http_request *http = &attempt->request;
    const struct metadata *metadata = request->metadata;

    for (int i = 0; i < AZURE_REQUEST_MOST_HEADERS && request->headers[i].name != NULL; i++) {
        if (!http_request_add(http, request->headers[i].name, request->headers[i].value, err)) {
            return false;
        }
    }
    for (size_t i = 0; metadata != NULL && i < metadata->count; i++) {
        char *name = attempt->meta_names[i];
        snprintf(name, sizeof(attempt->meta_names[i]), META_PREFIX "%s", metadata->entries[i].name);
        if (!http_request_add(http, name, metadata->entries[i].value, err)) {
            return false;
        }
    }
    return true;
}

/* Whoever gives the tokens has tried long enough: trying again is for another run. */
static bool authorize_by_token(const struct azure_session *session, struct attempt *attempt,
                               struct effort *effort, struct error *err)
{
    const struct entra_patience patience = {.ignore_stop =
                                                http_client_ignores_stop(session->client),
                                            .cancelled = session->policy.cancelled};

    effort_clear(effort);
    if (!token_cache_get(session->tokens, &patience, &effort->token, err)) {
        err->retryable = false;
        return false;
    }
    text_appendf(&attempt->bearer, "Bearer %s", text_string(&effort->token));
    if (attempt->bearer.failed) {
        return error_set_memory(err);
    }
    return http_request_add(&attempt->request, "Authorization", text_string(&attempt->bearer), err);
}

static bool authorize(const struct azure_session *session, struct attempt *attempt,
                      struct effort *effort, struct error *err)
{
    if (session->tokens != NULL) {
        return authorize_by_token(session, attempt, effort, err);
    }
    return session->account->key_size == 0 ||
           (azure_sign(session->account, &attempt->request, attempt->authorization, err) &&
            http_request_add(&attempt->request, "Authorization", attempt->authorization, err));
}

/* The date is part of what is signed and grows old within minutes: everything is made anew for each
 * attempt. */
static bool build(const struct azure_session *session, const struct azure_request *request,
                  enum azure_encryption encryption, struct attempt *attempt, struct effort *effort,
                  struct error *err)
{
    struct http_request *http = &attempt->request;

    if (!build_url(session, request, &attempt->url, err) || !random_uuid(attempt->id, err)) {
        return false;
    }
    clock_format_http(attempt->date, clock_utc_ms());
    *http = (struct http_request){.method = request->method,
                                  .url = text_string(&attempt->url),
                                  .body = request->body,
                                  .body_size = request->body_size};
    if (!http_request_add(http, "x-ms-version", AZURE_REQUEST_VERSION, err) ||
        !http_request_add(http, "x-ms-date", attempt->date, err) ||
        !http_request_add(http, "x-ms-client-request-id", attempt->id, err) ||
        !add_headers(attempt, request, err) || !add_encryption(http, session, encryption, err)) {
        return false;
    }
    return authorize(session, attempt, effort, err);
}

static bool exchange_once(const struct azure_session *session, const struct azure_request *request,
                          enum azure_encryption encryption, struct effort *effort,
                          struct http_reply *reply, struct error *err)
{
    struct attempt *attempt = calloc(1, sizeof(*attempt));

    http_reply_clear(reply);
    if (attempt == NULL) {
        return error_set_memory(err);
    }
    attempt->url = (struct text)TEXT_INIT(URL_CAP);
    attempt->bearer = (struct text)TEXT_INIT(TOKEN_CAP + sizeof("Bearer "));
    bool ok = build(session, request, encryption, attempt, effort, err) &&
              http_exchange(session->client, &attempt->request, reply, err);
    text_clear(&attempt->url);
    if (attempt->bearer.data != NULL) {
        explicit_bzero(attempt->bearer.data, attempt->bearer.capacity);
    }
    text_clear(&attempt->bearer);
    free(attempt);
    return ok;
}

void azure_request_code(const struct http_reply *reply, char out[AZURE_REQUEST_CODE_SIZE])
{
    if (http_reply_header(reply, "x-ms-error-code", out, AZURE_REQUEST_CODE_SIZE)) {
        redact_cut(out);
        return;
    }
    struct text code = TEXT_INIT(AZURE_REQUEST_CODE_SIZE - 1);
    service_reply_element(reply, "Code", &code);
    snprintf(out, AZURE_REQUEST_CODE_SIZE, "%s", text_string(&code));
    text_clear(&code);
}

/* What was stored before there was a key cannot be read with one. */
static bool exchange(const struct azure_session *session, const struct azure_request *request,
                     struct effort *effort, struct http_reply *reply, struct error *err)
{
    char code[AZURE_REQUEST_CODE_SIZE];
    bool ok = exchange_once(session, request, request->encryption, effort, reply, err);

    if (!ok || reply->status != 409 || request->encryption != AZURE_ENCRYPTION_READ) {
        return ok;
    }
    azure_request_code(reply, code);
    return strcmp(code, "BlobDoesNotUseCustomerSpecifiedEncryption") != 0 ||
           exchange_once(session, request, AZURE_ENCRYPTION_NONE, effort, reply, err);
}

static void hint_credentials(const struct azure_account *account, const struct http_reply *reply,
                             struct error *err)
{
    char end[AZURE_ACCOUNT_FIELD_SIZE];
    char permissions[AZURE_ACCOUNT_FIELD_SIZE];
    char types[AZURE_ACCOUNT_FIELD_SIZE];

    if (account->key_size == 0 && account->sas == NULL) {
        error_hint(err,
                   "the identity needs the role Storage Blob Data Contributor on the account or "
                   "the container; a new assignment may take a while to be known");
        return;
    }
    if (account->sas == NULL) {
        error_hint(err, "check AccountName and AccountKey of AZURE_STORAGE_CONNECTION_STRING, and "
                        "that the account allows its keys and this host's address");
        service_reply_hint_clock(reply, err);
        return;
    }
    azure_account_sas_field(account, "se", end);
    azure_account_sas_field(account, "sp", permissions);
    azure_account_sas_field(account, "srt", types);
    error_hint(err,
               "the shared access signature must not have ended (se=%s), must permit racwdl "
               "(sp=%s) and, if it is one for the account, containers and objects (srt=%s)",
               end, permissions, types);
}

static bool is_about_key(const char *code)
{
    static const char *const codes[] = {"BlobUsesCustomerSpecifiedEncryption",
                                        "BlobCustomerSpecifiedEncryptionMismatch", NULL};

    return service_reply_is_one_of(code, codes);
}

static void hint(const struct azure_account *account, const struct http_reply *reply,
                 const char *code, struct error *err)
{
    if (reply->status == 401 || reply->status == 403) {
        hint_credentials(account, reply, err);
    } else if (strcmp(code, "ContainerNotFound") == 0) {
        error_hint(err,
                   "check the container's name (AZURE_BACKUP_CONTAINER or RYTHM_BACKUP_STORES);"
                   " a backup makes it when the credentials allow that");
    } else if (is_about_key(code)) {
        error_hint(err, "AZURE_BACKUP_ENCRYPTION_KEY must be the key that it was stored with");
    } else if (strcmp(code, "ContainerBeingDeleted") == 0) {
        error_hint(err, "wait until the service has deleted it, or choose another container");
    } else if (reply->status >= 300 && reply->status < 400) {
        error_hint(err, "redirects are not followed: check BlobEndpoint");
    }
}

/* The real service quotes the string that it signed: how a signature is debugged. */
static void log_detail(const struct http_reply *reply)
{
    struct text detail = TEXT_INIT(MESSAGE_CAP);

    if (log_enabled(LOG_DEBUG)) {
        service_reply_element(reply, "AuthenticationErrorDetail", &detail);
        if (detail.length > 0) {
            log_debug("azure_authentication", "%s", text_string(&detail));
        }
    }
    text_clear(&detail);
}

bool azure_request_refuse(const struct azure_session *session, const struct http_reply *reply,
                          struct error *err)
{
    char code[AZURE_REQUEST_CODE_SIZE];
    char id[128];
    struct text message = TEXT_INIT(MESSAGE_CAP);

    azure_request_code(reply, code);
    service_reply_element(reply, "Message", &message);
    const char *line = text_string(&message);
    int length = (int)strcspn(line, "\r\n");
    error_set(err, ERROR_FAILED, "the service answered %d%s%s%s%.*s", reply->status,
              *code != '\0' ? " " : "", code, length > 0 ? ": " : "", length, line);
    if (http_reply_header(reply, "x-ms-request-id", id, sizeof(id))) {
        redact_cut(id);
        error_hint(err, "request id %s", id);
    }
    hint(session->account, reply, code, err);
    log_detail(reply);
    text_clear(&message);
    return false;
}

static bool is_answer(const struct azure_request *request, int status)
{
    for (int i = 0; i < AZURE_REQUEST_MOST_ANSWERS && request->answers[i] != 0; i++) {
        if (request->answers[i] == status) {
            return true;
        }
    }
    return status >= 200 && status < 300;
}

/* A body damaged on its way may be sent again, a few times: more often, it is not the way that
 * damages it. InvalidOperation is what the emulator calls Md5Mismatch. */
static bool is_worth_repeating(const struct azure_session *session,
                               const struct azure_request *request, const struct http_reply *reply,
                               struct effort *effort)
{
    static const char *const damaged[] = {"Md5Mismatch", "Crc64Mismatch", "InvalidOperation", NULL};
    char code[AZURE_REQUEST_CODE_SIZE];

    /* Its body may be a piece of a backup, which is not to be looked into. */
    if (reply->status < 300) {
        return false;
    }
    if (reply->status == 401 && effort->token.length > 0) {
        token_cache_reject(session->tokens, text_string(&effort->token));
        return effort->renewals++ == 0;
    }
    azure_request_code(reply, code);
    if (reply->status == 400 && request->body_size > 0 && service_reply_is_one_of(code, damaged)) {
        return effort->resendings++ < MOST_RESENDINGS;
    }
    return retry_status_is_transient(reply->status) ||
           (reply->status == 409 && strcmp(code, "ContainerBeingDeleted") == 0);
}

/* False without a reply that is an answer; err->retryable: another attempt may have one. */
static bool attempt_once(const struct azure_session *session, const struct azure_request *request,
                         struct effort *effort, struct http_reply *reply, struct error *err)
{
    if (!exchange(session, request, effort, reply, err)) {
        return false;
    }
    bool repeat = is_worth_repeating(session, request, reply, effort);
    if (!repeat && is_answer(request, reply->status)) {
        /* What earlier attempts left there is no error any more. */
        error_clear(err);
        return true;
    }
    azure_request_refuse(session, reply, err);
    error_prefix(err, "%s %s/%s%s%s", request->method, session->account->endpoint,
                 session->container, request->blob != NULL ? "/" : "",
                 request->blob != NULL ? request->blob : "");
    err->retryable = repeat;
    return false;
}

bool azure_request_send(const struct azure_session *session, const struct azure_request *request,
                        struct http_reply *reply, struct error *err)
{
    struct effort effort = EFFORT_INIT;
    struct retry retry;
    bool permitted = true;
    bool ok = false;

    retry_begin(&retry, &session->policy);
    do {
        permitted = request->permit == NULL || request->permit(request->permit_context, err);
        ok = permitted && attempt_once(session, request, &effort, reply, err);
    } while (permitted && !ok && retry_again(&retry, reply, err));
    effort_clear(&effort);
    return ok;
}
