#include "http/smtp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/redact.h"
#include "base/stop.h"
#include "base/text.h"
#include "http/curl_handle.h"

#define LONGEST_REPLY   300
#define LONGEST_ADDRESS 324

struct smtp_client {
    struct curl_handle handle;
    const struct smtp_server *server;
    char said[LONGEST_REPLY]; /* the server's last refusal */
};

struct source {
    const char *data;
    size_t left;
};

static size_t on_read(char *out, size_t size, size_t count, void *context)
{
    struct source *source = context;
    size_t taken = size * count < source->left ? size * count : source->left;

    memcpy(out, source->data, taken);
    source->data += taken;
    source->left -= taken;
    return taken;
}

/* The server's answers come as headers. */
static size_t on_line(char *data, size_t size, size_t count, void *context)
{
    struct smtp_client *client = context;

    if (size * count > 0 && (*data == '4' || *data == '5')) {
        redact_copy(client->said, sizeof(client->said), data, size * count);
        text_make_one_line(client->said);
    }
    return size * count;
}

static bool set_login(struct smtp_client *client)
{
    const struct smtp_server *server = client->server;

    return server->user == NULL ||
           (curl_handle_set_string(&client->handle, CURLOPT_USERNAME, server->user) &&
            curl_handle_set_string(&client->handle, CURLOPT_PASSWORD, server->password));
}

static bool prepare(struct smtp_client *client, const struct smtp_mail *mail, struct source *source,
                    struct curl_slist *to)
{
    struct curl_handle *handle = &client->handle;
    char from[LONGEST_ADDRESS];

    client->said[0] = '\0';
    snprintf(from, sizeof(from), "<%s>", mail->from);
    if (!curl_handle_reset(handle, "smtp,smtps")) {
        return false;
    }
    curl_handle_set_number(handle, CURLOPT_USE_SSL,
                           client->server->must_encrypt ? CURLUSESSL_ALL : CURLUSESSL_NONE);
    curl_handle_set_number(handle, CURLOPT_UPLOAD, 1);
    curl_handle_set_size(handle, CURLOPT_INFILESIZE_LARGE, mail->size);
    curl_handle_set_sink(handle, CURLOPT_READFUNCTION, on_read);
    curl_handle_set_pointer(handle, CURLOPT_READDATA, source);
    curl_handle_set_sink(handle, CURLOPT_HEADERFUNCTION, on_line);
    curl_handle_set_pointer(handle, CURLOPT_HEADERDATA, client);
    curl_handle_set_pointer(handle, CURLOPT_MAIL_RCPT, to);
    return curl_handle_set_string(handle, CURLOPT_URL, client->server->url) &&
           curl_handle_set_string(handle, CURLOPT_MAIL_FROM, from) && set_login(client);
}

static enum smtp_failure classify(CURLcode code, int status)
{
    switch (code) {
    case CURLE_LOGIN_DENIED:
        return SMTP_NO_LOGIN;
    case CURLE_USE_SSL_FAILED:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
        return SMTP_NO_TLS;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_REMOTE_ACCESS_DENIED:
        /* Greeting or EHLO: we are refused, not this mail. */
        return SMTP_NO_ANSWER;
    default:
        break;
    }
    /* 530: authentication required */
    if (status == 530) {
        return SMTP_NO_LOGIN;
    }
    return status >= 400 && status <= 599 ? SMTP_REFUSED : SMTP_NO_ANSWER;
}

static bool fail(struct smtp_client *client, CURLcode code, enum smtp_failure *failure, int *status,
                 struct error *err)
{
    long last = 0;

    curl_handle_fail(&client->handle, code, err);
    client->handle.curl->easy_getinfo(client->handle.easy, CURLINFO_RESPONSE_CODE, &last);
    *status = (int)last;
    *failure = err->kind == ERROR_STOPPED ? SMTP_STOPPED : classify(code, *status);
    if (*failure == SMTP_REFUSED || *failure == SMTP_NO_LOGIN) {
        error_hint(err, "the server says: %s", client->said);
    }
    const char *host = strstr(client->server->url, "://") + 3;
    return error_prefix(err, "mail server %.*s", (int)strcspn(host, "/"), host);
}

struct smtp_client *smtp_client_new(const struct smtp_server *server,
                                    const struct http_limits *limits, struct error *err)
{
    struct smtp_client *client = calloc(1, sizeof(*client));

    if (client == NULL) {
        error_set_memory(err);
        return NULL;
    }
    client->server = server;
    if (!curl_handle_init(&client->handle, limits, err)) {
        free(client);
        return NULL;
    }
    return client;
}

void smtp_client_free(struct smtp_client *client)
{
    if (client != NULL) {
        curl_handle_clear(&client->handle);
        free(client);
    }
}

bool smtp_send(struct smtp_client *client, const struct smtp_mail *mail, enum smtp_failure *failure,
               int *code, struct error *err)
{
    struct source source = {mail->data, mail->size};
    struct curl_slist *recipients = NULL;
    char to[LONGEST_ADDRESS];

    *failure = SMTP_STOPPED;
    *code = 0;
    if (!stop_check(err)) {
        return false;
    }
    *failure = SMTP_NO_ANSWER;
    snprintf(to, sizeof(to), "<%s>", mail->to);
    if (!curl_handle_add_line(&client->handle, &recipients, to)) {
        return error_set_memory(err);
    }
    bool ok = prepare(client, mail, &source, recipients) || error_set_memory(err);
    if (ok) {
        CURLcode result = client->handle.curl->easy_perform(client->handle.easy);
        ok = result == CURLE_OK || fail(client, result, failure, code, err);
    }
    client->handle.curl->slist_free_all(recipients);
    return ok;
}
