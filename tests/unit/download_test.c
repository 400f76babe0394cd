/*
 * Reading objects back: from a folder whose files change under the reader, and from a small service
 * of our own that answers as Azure does, or in ways that Azure should not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/settings.h"
#include "base/text.h"
#include "crypto/base64.h"
#include "crypto/digest.h"
#include "store/azure/azure_account.h"
#include "store/azure/azure_download.h"
#include "store/range_read.h"
#include "store/store.h"

#define NAME    "rythm-backup-2025-01-29T02-00-01-123Z.sql"
#define CONTENT "0123456789abcdef"

static void assert_error(const struct error *err, const char *text)
{
    if (strstr(err->text, text) == NULL) {
        fail_msg("'%s' is not in: %s", text, err->text);
    }
}

/* A folder. */

struct folder {
    char path[64];
    char file[160];
    struct store *store;
    struct object object;
    struct download *download;
};

static void write_file(const char *path, const char *content)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void folder_begin(struct folder *folder)
{
    const struct settings settings = {.values = {NULL}};
    struct error err = ERROR_INIT;
    char url[80];
    bool found = false;

    *folder = (struct folder){.path = "/tmp/rythm-backup-download-XXXXXX"};
    assert_non_null(mkdtemp(folder->path));
    snprintf(folder->file, sizeof(folder->file), "%s/" NAME, folder->path);
    write_file(folder->file, CONTENT);
    snprintf(url, sizeof(url), "file://%s", folder->path);
    assert_true(store_open(url, &settings, &folder->store, &err));
    assert_true(store_head(folder->store, NAME, &folder->object, &found, &err));
    assert_true(found);
}

static void folder_open(struct folder *folder)
{
    struct error err = ERROR_INIT;

    folder_begin(folder);
    assert_true(store_download_open(folder->store, &folder->object, &folder->download, &err));
}

static void folder_end(struct folder *folder)
{
    store_download_close(folder->download);
    object_clear(&folder->object);
    store_close(folder->store);
    unlink(folder->file);
    assert_int_equal(rmdir(folder->path), 0);
}

static void file_is_read_at_any_place(void **state)
{
    struct folder folder;
    struct error err = ERROR_INIT;
    char buffer[sizeof(CONTENT)] = "";

    (void)state;
    folder_open(&folder);
    assert_true(store_download_read(folder.download, 0, buffer, 16, &err));
    assert_memory_equal(buffer, CONTENT, 16);
    assert_true(store_download_read(folder.download, 10, buffer, 3, &err));
    assert_memory_equal(buffer, "abc", 3);
    assert_true(store_download_read(folder.download, 15, buffer, 1, &err));
    assert_memory_equal(buffer, "f", 1);
    assert_true(store_download_read(folder.download, 16, buffer, 0, &err));
    folder_end(&folder);
    store_download_close(NULL);
}

static void what_an_object_does_not_have_is_not_asked_for(void **state)
{
    static const struct {
        uint64_t offset;
        size_t size;
    } ranges[] = {{0, 17}, {16, 1}, {17, 0}, {UINT64_MAX, 2}, {1, SIZE_MAX}};
    struct folder folder;
    char buffer[32];

    (void)state;
    folder_open(&folder);
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        struct error err = ERROR_INIT;
        assert_false(
            store_download_read(folder.download, ranges[i].offset, buffer, ranges[i].size, &err));
        assert_error(&err, "of an object of 16 bytes");
    }
    folder_end(&folder);
}

enum change { CHANGE_REMOVE, CHANGE_REPLACE, CHANGE_TRUNCATE, CHANGE_OVERWRITE, CHANGE_LINK };

static void change_file(const struct folder *folder, enum change change)
{
    char other[200];

    snprintf(other, sizeof(other), "%s.other", folder->file);
    switch (change) {
    case CHANGE_REMOVE:
        assert_int_equal(unlink(folder->file), 0);
        break;
    case CHANGE_REPLACE:
        write_file(other, CONTENT);
        assert_int_equal(rename(other, folder->file), 0);
        break;
    case CHANGE_TRUNCATE:
        assert_int_equal(truncate(folder->file, 11), 0);
        break;
    case CHANGE_OVERWRITE:
        write_file(folder->file, "fedcba9876543210");
        break;
    case CHANGE_LINK:
        assert_int_equal(unlink(folder->file), 0);
        assert_int_equal(symlink("/etc/passwd", folder->file), 0);
        break;
    }
}

static const struct {
    enum change change;
    const char *text;
} changes[] = {
    {CHANGE_REMOVE, NAME " in the folder /tmp/"},
    {CHANGE_REMOVE, "was removed meanwhile"},
    {CHANGE_REPLACE, "was replaced or changed meanwhile"},
    {CHANGE_TRUNCATE, "was replaced or changed meanwhile"},
    {CHANGE_OVERWRITE, "was replaced or changed meanwhile"},
    {CHANGE_LINK, "was replaced or changed meanwhile"},
};

static void file_that_has_changed_is_not_opened(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct folder folder;
        struct error err = ERROR_INIT;
        folder_begin(&folder);
        change_file(&folder, changes[i].change);
        assert_false(store_download_open(folder.store, &folder.object, &folder.download, &err));
        assert_error(&err, changes[i].text);
        folder_end(&folder);
    }
}

static void file_that_changes_is_not_read_on(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct folder folder;
        struct error err = ERROR_INIT;
        char buffer[16];
        folder_open(&folder);
        assert_true(store_download_read(folder.download, 0, buffer, 4, &err));
        change_file(&folder, changes[i].change);
        assert_false(store_download_read(folder.download, 4, buffer, 4, &err));
        assert_error(&err, changes[i].text);
        folder_end(&folder);
    }
}

static void file_that_ends_early_says_where(void **state)
{
    struct folder folder;
    struct error err = ERROR_INIT;
    char buffer[16];

    (void)state;
    folder_open(&folder);
    change_file(&folder, CHANGE_TRUNCATE);
    assert_false(store_download_read(folder.download, 4, buffer, 12, &err));
    assert_error(&err, "it ended after 11 of 16 bytes");
    folder_end(&folder);
}

/* A service with one blob. What it does wrong, it does to each request until it is exhausted. */

enum fault {
    FAULT_BUSY,          /* 503 */
    FAULT_CUT,           /* the body ends in its middle, its Content-Length does not */
    FAULT_CUT_LENGTH,    /* the body is short, and so is its Content-Length */
    FAULT_STALL,         /* half a body, and then nothing until the client goes */
    FAULT_OTHER_RANGE,   /* Content-Range of the neighbour */
    FAULT_OTHER_TOTAL,   /* Content-Range of a larger blob */
    FAULT_NO_RANGE,      /* 206 without Content-Range */
    FAULT_WHOLE,         /* 200 with all of it */
    FAULT_OTHER_ETAG,    /* the answer is another version's, in spite of If-Match */
    FAULT_WRONG_MD5,     /* the bytes are others than those that were digested */
    FAULT_NO_MD5,        /* none is told */
    FAULT_REPLACED,      /* 412, and HEAD has another blob */
    FAULT_GONE,          /* 412, and HEAD has none */
    FAULT_NOT_FOUND,     /* 404 */
    FAULT_NO_SUCH_RANGE, /* 416 */
    FAULT_ARCHIVED,      /* 409 */
    FAULT_FORBIDDEN,     /* 403 */
};

#define MIB       ((size_t)1024 * 1024)
#define BLOB_SIZE (17 * MIB)
/* Azure refuses to be asked for the MD5 of more (Get Blob). */
#define MD5_SIZE   (4 * MIB)
#define SMALL_SIZE ((size_t)1000)

struct service {
    enum fault fault;
    int faults; /* how often */
    int requests;
    int listener;
    pthread_t thread;
    const unsigned char *blob;
    size_t blob_size;
};

static void send_all(int fd, const void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t sent = send(fd, (const char *)data + done, size - done, MSG_NOSIGNAL);
        if (sent <= 0) {
            return;
        }
        done += (size_t)sent;
    }
}

static void refuse(int fd, const char *status, const char *code)
{
    char head[256];
    int length = snprintf(head, sizeof(head),
                          "HTTP/1.1 %s\r\nx-ms-error-code: %s\r\nConnection: close\r\n"
                          "Content-Length: 0\r\n\r\n",
                          status, code);

    send_all(fd, head, (size_t)length);
}

static void send_range(const struct service *service, int fd, size_t first, size_t last, int fault)
{
    unsigned char md5[DIGEST_MD5_SIZE];
    char md5_text[BASE64_SIZE(DIGEST_MD5_SIZE)];
    char line[128] = "";
    struct text head = TEXT_INIT(1024);
    struct error err = ERROR_INIT;
    bool whole = fault == FAULT_WHOLE;
    size_t shift = fault == FAULT_OTHER_RANGE;
    const unsigned char *body = service->blob + (whole ? 0 : first);
    size_t size = whole ? service->blob_size : last - first + 1;
    size_t sent =
        fault == FAULT_CUT || fault == FAULT_CUT_LENGTH || fault == FAULT_STALL ? size / 2 : size;

    assert_true(digest_of(DIGEST_MD5, body, size - (fault == FAULT_WRONG_MD5), md5, &err));
    base64_encode(md5_text, md5, sizeof(md5));
    if (!whole && fault != FAULT_NO_RANGE) {
        snprintf(line, sizeof(line), "Content-Range: bytes %zu-%zu/%zu\r\n", first + shift,
                 last + shift, BLOB_SIZE + (fault == FAULT_OTHER_TOTAL));
    }
    text_appendf(&head,
                 "HTTP/1.1 %s\r\nETag: \"0x%d\"\r\nConnection: close\r\nContent-Length: "
                 "%zu\r\n%s%s%s%s\r\n",
                 whole ? "200 OK" : "206 Partial Content", fault == FAULT_OTHER_ETAG ? 2 : 1,
                 fault == FAULT_CUT_LENGTH ? sent : size, line,
                 fault == FAULT_NO_MD5 ? "" : "Content-MD5: ",
                 fault == FAULT_NO_MD5 ? "" : md5_text, fault == FAULT_NO_MD5 ? "" : "\r\n");
    send_all(fd, text_string(&head), head.length);
    text_clear(&head);
    send_all(fd, body, sent);
    if (fault == FAULT_STALL) {
        char byte;
        while (read(fd, &byte, 1) > 0) {
        }
    }
}

static void serve_get(struct service *service, int fd, const char *head)
{
    static const char range[] = "\r\nx-ms-range: bytes=";
    const char *at = strcasestr(head, range);
    bool wrong = service->faults != 0;
    size_t first;
    size_t last;

    assert_non_null(at);
    assert_int_equal(sscanf(at + strlen(range), "%zu-%zu\r\n", &first, &last), 2);
    assert_true(first <= last && last < BLOB_SIZE);
    assert_true(last - first < RANGE_READ_SIZE);
    assert_non_null(strcasestr(head, "\r\nIf-Match: \"0x1\"\r\n"));
    assert_int_equal(strcasestr(head, "\r\nx-ms-range-get-content-md5: true\r\n") != NULL,
                     last - first < MD5_SIZE);
    assert_non_null(strcasestr(head, "\r\nAuthorization: SharedKey rythm:"));
    service->faults -= service->faults > 0;
    service->requests++;
    if (!wrong) {
        send_range(service, fd, first, last, -1);
        return;
    }
    switch (service->fault) {
    case FAULT_BUSY:
        refuse(fd, "503 x", "ServerBusy");
        break;
    case FAULT_REPLACED:
    case FAULT_GONE:
        refuse(fd, "412 x", "ConditionNotMet");
        break;
    case FAULT_NOT_FOUND:
        refuse(fd, "404 x", "BlobNotFound");
        break;
    case FAULT_NO_SUCH_RANGE:
        refuse(fd, "416 x", "InvalidRange");
        break;
    case FAULT_ARCHIVED:
        refuse(fd, "409 x", "BlobArchived");
        break;
    case FAULT_FORBIDDEN:
        refuse(fd, "403 x", "AuthenticationFailed");
        break;
    default:
        send_range(service, fd, first, last, (int)service->fault);
        break;
    }
}

static void serve_head(const struct service *service, int fd)
{
    static const char found[] = "HTTP/1.1 200 OK\r\nETag: \"0x2\"\r\nConnection: close\r\n"
                                "Content-Length: 5\r\n\r\n";

    if (service->fault == FAULT_REPLACED) {
        send_all(fd, found, strlen(found));
    } else {
        refuse(fd, "404 x", "BlobNotFound");
    }
}

/* One connection and request at a time: a download has no more. */
static void *serve(void *context)
{
    struct service *service = context;
    int fd;

    while ((fd = accept(service->listener, NULL, NULL)) >= 0) {
        struct text head = TEXT_INIT(1 << 16);
        char buffer[4096];
        ssize_t got = 1;
        while (got > 0 && strstr(text_string(&head), "\r\n\r\n") == NULL) {
            got = read(fd, buffer, sizeof(buffer));
            text_append_bytes(&head, buffer, got > 0 ? (size_t)got : 0);
        }
        if (strncmp(text_string(&head), "GET /backups/folder/b.sql ", 26) == 0) {
            serve_get(service, fd, text_string(&head));
        } else if (head.length > 0) {
            assert_memory_equal(head.data, "HEAD ", 5);
            serve_head(service, fd);
        }
        text_clear(&head);
        close(fd);
    }
    return NULL;
}

struct fixture {
    struct service service;
    struct azure_account account;
    struct azure_options options;
    struct azure_session session;
    struct download *download;
    unsigned char *buffer;
};

static const unsigned char *the_blob(void)
{
    static unsigned char blob[BLOB_SIZE];
    static bool is_filled = false;

    for (size_t i = 0; !is_filled && i < BLOB_SIZE; i++) {
        blob[i] = (unsigned char)(i * 2654435761U >> 13);
    }
    is_filled = true;
    return blob;
}

static struct fixture *fixture_new(enum fault fault, int faults)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    char connection[256];
    struct error err = ERROR_INIT;

    assert_non_null(fixture);
    struct service *service = &fixture->service;
    *service = (struct service){
        .fault = fault, .faults = faults, .blob = the_blob(), .blob_size = BLOB_SIZE};
    fixture->buffer = malloc(BLOB_SIZE);
    assert_non_null(fixture->buffer);
    service->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(service->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(service->listener, 64), 0);
    assert_int_equal(getsockname(service->listener, (struct sockaddr *)&address, &size), 0);
    snprintf(connection, sizeof(connection),
             "AccountName=rythm;AccountKey=c2VjcmV0a2V5;BlobEndpoint=http://127.0.0.1:%d",
             ntohs(address.sin_port));
    assert_true(azure_account_parse(connection, &fixture->account, &err));
    fixture->session = (struct azure_session){
        .account = &fixture->account,
        .options = &fixture->options,
        .container = "backups",
        .policy = {.attempts = 4, .first_wait_ms = 2, .longest_wait_ms = 4, .total_ms = 60000}};
    const struct azure_download_options options = {
        .session = &fixture->session,
        .limits = {.connect_ms = 10000, .stall_s = fault == FAULT_STALL ? 1 : 60},
        .blob = "folder/b.sql",
        .etag = "\"0x1\"",
        .bytes = BLOB_SIZE};
    assert_true(azure_download_open(&options, &fixture->download, &err));
    assert_int_equal(pthread_create(&service->thread, NULL, serve, service), 0);
    return fixture;
}

static void fixture_free(struct fixture *fixture)
{
    range_download_close(fixture->download);
    azure_account_clear(&fixture->account);
    shutdown(fixture->service.listener, SHUT_RDWR);
    pthread_join(fixture->service.thread, NULL);
    close(fixture->service.listener);
    free(fixture->buffer);
    free(fixture);
}

static void check_reads(enum fault fault, int faults, uint64_t offset, size_t size, int requests)
{
    struct fixture *fixture = fixture_new(fault, faults);
    struct error err = ERROR_INIT;

    if (!azure_download_read(fixture->download, offset, fixture->buffer, size, &err)) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(err.kind, ERROR_NONE);
    assert_memory_equal(fixture->buffer, fixture->service.blob + offset, size);
    assert_int_equal(fixture->service.requests, requests);
    fixture_free(fixture);
}

static void check_fails(enum fault fault, size_t size, int requests, const char *text)
{
    struct fixture *fixture = fixture_new(fault, -1);
    struct error err = ERROR_INIT;

    assert_false(azure_download_read(fixture->download, 100, fixture->buffer, size, &err));
    assert_error(&err, text);
    assert_error(&err, "reading bytes 100 to ");
    assert_error(&err, " of folder/b.sql");
    assert_int_equal(fixture->service.requests, requests);
    fixture_free(fixture);
}

static void blob_is_read_in_ranges(void **state)
{
    (void)state;
    check_reads(FAULT_BUSY, 0, 0, BLOB_SIZE, 2);
    check_reads(FAULT_BUSY, 0, 5, MD5_SIZE, 1);
    check_reads(FAULT_BUSY, 0, 5, MD5_SIZE + 1, 1);
    check_reads(FAULT_BUSY, 0, 5, RANGE_READ_SIZE, 1);
    check_reads(FAULT_BUSY, 0, 5, RANGE_READ_SIZE + 1, 2);
    check_reads(FAULT_BUSY, 0, BLOB_SIZE - 1, 1, 1);
}

static void transient_failures_of_a_read_are_repaired(void **state)
{
    (void)state;
    check_reads(FAULT_BUSY, 3, 7, 1000, 4);
    check_reads(FAULT_CUT, 1, 7, 1000000, 2);
    check_reads(FAULT_CUT_LENGTH, 1, 7, 1000000, 2);
    check_reads(FAULT_WRONG_MD5, 2, 7, 100000, 3);
    check_reads(FAULT_STALL, 1, 7, 1000000, 2);
}

static void service_that_tells_no_md5_is_believed(void **state)
{
    (void)state;
    check_reads(FAULT_NO_MD5, -1, 7, 100000, 1);
}

static void failures_that_stay_are_told(void **state)
{
    (void)state;
    check_fails(FAULT_BUSY, 1000, 4, "ServerBusy");
    check_fails(FAULT_CUT, 1000, 4, "tried 4 times");
    check_fails(FAULT_CUT_LENGTH, 1000, 3, "the reply has 500 bytes and not the 1000 asked for");
    check_fails(FAULT_WRONG_MD5, 1000, 3, "damaged on their way");
    check_fails(FAULT_FORBIDDEN, 1000, 1, "check AccountName and AccountKey");
}

static void answer_to_another_question_is_refused(void **state)
{
    (void)state;
    check_fails(FAULT_OTHER_RANGE, 1000, 1,
                "Content-Range 'bytes 101-1100/17825792', not 206 with");
    check_fails(FAULT_OTHER_TOTAL, 1000, 1,
                "Content-Range 'bytes 100-1099/17825793', not 206 with");
    check_fails(FAULT_NO_RANGE, 1000, 1, "answered 206 with Content-Range ''");
    check_fails(FAULT_WHOLE, 1000, 1, "ignored the range");
    check_fails(FAULT_WHOLE, BLOB_SIZE - 100, 1, "ignored the range");
}

static void blob_that_is_another_one_is_refused(void **state)
{
    (void)state;
    check_fails(FAULT_OTHER_ETAG, 1000, 1, "it was replaced meanwhile");
    check_fails(FAULT_REPLACED, 1000, 1, "it was replaced meanwhile");
    check_fails(FAULT_GONE, 1000, 1, "it was removed meanwhile");
    check_fails(FAULT_NOT_FOUND, 1000, 1, "it was removed meanwhile: the service answered 404");
    check_fails(FAULT_NO_SUCH_RANGE, 1000, 1, "shorter than the 17825792 bytes listed");
    check_fails(FAULT_ARCHIVED, 1000, 1, "archive tier");
    check_fails(FAULT_ARCHIVED, 1000, 1, "rehydrate it");
}

/* All of a small blob may come with 200, if it is as long as was listed. */
static void whole_blob_needs_no_range(void **state)
{
    struct fixture *fixture = fixture_new(FAULT_WHOLE, -1);
    struct download *download = NULL;
    struct error err = ERROR_INIT;
    const struct azure_download_options options = {.session = &fixture->session,
                                                   .limits = {.connect_ms = 10000, .stall_s = 60},
                                                   .blob = "folder/b.sql",
                                                   .etag = "\"0x1\"",
                                                   .bytes = SMALL_SIZE};

    (void)state;
    assert_true(azure_download_open(&options, &download, &err));
    fixture->service.blob_size = SMALL_SIZE;
    assert_true(azure_download_read(download, 0, fixture->buffer, SMALL_SIZE, &err));
    assert_memory_equal(fixture->buffer, fixture->service.blob, SMALL_SIZE);
    assert_false(azure_download_read(download, 0, fixture->buffer, SMALL_SIZE - 1, &err));
    assert_error(&err, "ignored the range");
    fixture->service.blob_size = SMALL_SIZE + 1;
    assert_false(azure_download_read(download, 0, fixture->buffer, SMALL_SIZE, &err));
    assert_error(&err, "the reply has 1001 bytes and not the 1000 asked for");
    range_download_close(download);
    fixture_free(fixture);
}

static void *cancel_soon(void *context)
{
    usleep(50 * 1000);
    store_download_cancel(context);
    return NULL;
}

/* Each of its attempts would be waited for a second. */
static void reading_can_be_cancelled(void **state)
{
    struct fixture *fixture = fixture_new(FAULT_STALL, -1);
    struct error err = ERROR_INIT;
    pthread_t other;

    (void)state;
    assert_int_equal(pthread_create(&other, NULL, cancel_soon, fixture->download), 0);
    assert_false(azure_download_read(fixture->download, 0, fixture->buffer, 1000, &err));
    assert_int_equal(err.kind, ERROR_STOPPED);
    pthread_join(other, NULL);
    fixture_free(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_is_read_at_any_place),
        cmocka_unit_test(what_an_object_does_not_have_is_not_asked_for),
        cmocka_unit_test(file_that_has_changed_is_not_opened),
        cmocka_unit_test(file_that_changes_is_not_read_on),
        cmocka_unit_test(file_that_ends_early_says_where),
        cmocka_unit_test(blob_is_read_in_ranges),
        cmocka_unit_test(reading_can_be_cancelled),
        cmocka_unit_test(transient_failures_of_a_read_are_repaired),
        cmocka_unit_test(service_that_tells_no_md5_is_believed),
        cmocka_unit_test(failures_that_stay_are_told),
        cmocka_unit_test(answer_to_another_question_is_refused),
        cmocka_unit_test(blob_that_is_another_one_is_refused),
        cmocka_unit_test(whole_blob_needs_no_range),
    };

    log_configure(LOG_ERROR, LOG_FORMAT_TEXT, false);
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
