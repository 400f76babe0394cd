#include "http/curl_handle.h"

#include "base/stop.h"

#define LOWEST_SPEED_BYTES_S 128

static bool is_cancelled(const struct curl_handle *handle)
{
    return handle->cancelled != NULL && atomic_load(handle->cancelled);
}

/* libcurl calls it at least once a second, also while nothing moves. */
static int on_progress(void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    const struct curl_handle *handle = context;

    (void)down_total;
    (void)down;
    (void)up_total;
    (void)up;
    return (!handle->ignore_stop && stop_signal() != 0) || is_cancelled(handle) ? 1 : 0;
}

bool curl_handle_init(struct curl_handle *handle, const struct http_limits *limits,
                      struct error *err)
{
    const struct curl_library *curl = curl_library_get(err);

    if (curl == NULL) {
        return false;
    }
    *handle = (struct curl_handle){.curl = curl, .limits = *limits, .easy = curl->easy_init()};
    return handle->easy != NULL || error_set(err, ERROR_FAILED, "libcurl could not be set up");
}

void curl_handle_clear(struct curl_handle *handle)
{
    if (handle->easy != NULL) {
        handle->curl->easy_cleanup(handle->easy);
    }
    handle->easy = NULL;
}

static void set_limits(struct curl_handle *handle)
{
    curl_handle_set_number(handle, CURLOPT_NOSIGNAL, 1);
    /* A name server that does not answer: its thread is not waited for beyond the limit. */
    curl_handle_set_number(handle, CURLOPT_QUICK_EXIT, 1);
    curl_handle_set_number(handle, CURLOPT_CONNECTTIMEOUT_MS, handle->limits.connect_ms);
    curl_handle_set_number(handle, CURLOPT_TIMEOUT_MS, handle->limits.reply_ms);
    /* Also of the farewell to a mail server, for which no other limit counts. */
    curl_handle_set_number(handle, CURLOPT_SERVER_RESPONSE_TIMEOUT, handle->limits.stall_s);
    curl_handle_set_number(handle, CURLOPT_LOW_SPEED_LIMIT, LOWEST_SPEED_BYTES_S);
    curl_handle_set_number(handle, CURLOPT_LOW_SPEED_TIME, handle->limits.stall_s);
    curl_handle_set_number(handle, CURLOPT_TCP_KEEPALIVE, 1);
    curl_handle_set_number(handle, CURLOPT_NOPROGRESS, 0);
    handle->curl->easy_setopt(handle->easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_handle_set_pointer(handle, CURLOPT_XFERINFODATA, handle);
}

bool curl_handle_reset(struct curl_handle *handle, const char *protocols)
{
    handle->problem[0] = '\0';
    handle->curl->easy_reset(handle->easy);
    set_limits(handle);
    curl_handle_set_pointer(handle, CURLOPT_ERRORBUFFER, handle->problem);
    curl_handle_set_number(handle, CURLOPT_SSL_VERIFYPEER, 1);
    curl_handle_set_number(handle, CURLOPT_SSL_VERIFYHOST, 2);
    curl_handle_set_number(handle, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    return curl_handle_set_string(handle, CURLOPT_PROTOCOLS_STR, protocols) &&
           curl_handle_set_string(handle, CURLOPT_PROXY, "");
}

void curl_handle_set_number(struct curl_handle *handle, CURLoption option, int64_t value)
{
    handle->curl->easy_setopt(handle->easy, option, (long)value);
}

void curl_handle_set_size(struct curl_handle *handle, CURLoption option, uint64_t value)
{
    handle->curl->easy_setopt(handle->easy, option, (curl_off_t)value);
}

bool curl_handle_set_string(struct curl_handle *handle, CURLoption option, const char *value)
{
    return handle->curl->easy_setopt(handle->easy, option, value) == CURLE_OK;
}

void curl_handle_set_pointer(struct curl_handle *handle, CURLoption option, void *value)
{
    handle->curl->easy_setopt(handle->easy, option, value);
}

void curl_handle_set_sink(struct curl_handle *handle, CURLoption option,
                          size_t (*sink)(char *data, size_t size, size_t count, void *context))
{
    handle->curl->easy_setopt(handle->easy, option, sink);
}

bool curl_handle_add_line(struct curl_handle *handle, struct curl_slist **lines, const char *line)
{
    struct curl_slist *longer = handle->curl->slist_append(*lines, line);

    if (longer != NULL) {
        *lines = longer;
    }
    return longer != NULL;
}

static bool is_transient(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return true;
    default:
        return false;
    }
}

bool curl_handle_fail(struct curl_handle *handle, CURLcode code, struct error *err)
{
    if (code == CURLE_ABORTED_BY_CALLBACK && !handle->ignore_stop && !stop_check(err)) {
        return false;
    }
    if (is_cancelled(handle)) {
        return error_set(err, ERROR_STOPPED, "given up because another transfer failed");
    }
    error_set(err, ERROR_FAILED, "%s",
              handle->problem[0] != '\0' ? handle->problem : handle->curl->easy_strerror(code));
    err->retryable = is_transient(code);
    if (code == CURLE_PEER_FAILED_VERIFICATION) {
        error_hint(err, "the server's certificate is not trusted: check its name and issuer and "
                        "this host's CA certificates and clock");
    }
    return false;
}
