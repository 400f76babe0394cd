/*
 * Uploads to Azure, against a small service of our own that can be told to fail in the ways that
 * an emulator cannot: it loses answers, commits other blocks than it was told, is busy, refuses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "store/azure/azure_account.h"
#include "store/azure/azure_commit.h"
#include "store/azure/azure_upload.h"

#define RUN         "0123456789abcdef"
#define OTHER_RUN   "fedcba9876543210"
#define MOST_BLOCKS 64
#define THREADS     4
#define BLOCK_SIZE  1000

enum fault {
    FAULT_NONE,
    FAULT_BUSY_ONCE,      /* the first request of all is answered 503 */
    FAULT_DAMAGED_ONCE,   /* the first block is answered 400 Md5Mismatch */
    FAULT_ALWAYS_DAMAGED, /* every block is */
    FAULT_REFUSE_BLOCK,   /* block 3 is answered 403, the others wait until the client goes */
    FAULT_LOSE_ANSWER,    /* the first commit is done, its answer is not sent */
    FAULT_LOSE_ANSWERS,   /* no commit is answered */
    FAULT_FORGET_BLOCKS,  /* as FAULT_LOSE_ANSWER; the repetition is answered InvalidBlockList */
    FAULT_SWAP,           /* two blocks are committed in the wrong order */
    FAULT_SHORT,          /* the last one is left out */
    FAULT_NO_CHECK,       /* what was committed is not told: 403 */
};

struct stored {
    char id[AZURE_COMMIT_ID_SIZE];
    size_t size;
};

struct service {
    enum fault fault;
    int listener;
    int port;
    pthread_t acceptor;
    pthread_t threads[256];
    size_t thread_count;
    pthread_mutex_t lock; /* of what follows */
    struct stored blocks[MOST_BLOCKS];
    size_t block_count;
    struct stored committed[MOST_BLOCKS];
    size_t committed_count;
    bool exists;
    char run[32];
    int commits;
    int requests;
};

struct connection {
    struct service *service;
    int fd;
};

static void answer(int fd, const char *status, const char *headers, const char *body)
{
    char head[1024];
    int length = snprintf(head, sizeof(head),
                          "HTTP/1.1 %s\r\n%sConnection: close\r\nContent-Length: %zu\r\n\r\n",
                          status, headers, strlen(body));

    assert_true(length > 0 && (size_t)length < sizeof(head));
    if (send(fd, head, (size_t)length, MSG_NOSIGNAL) == length && *body != '\0') {
        ssize_t sent = send(fd, body, strlen(body), MSG_NOSIGNAL);
        (void)sent;
    }
}

static void refuse(int fd, const char *status, const char *code)
{
    char headers[128];

    snprintf(headers, sizeof(headers), "x-ms-error-code: %s\r\n", code);
    answer(fd, status, headers, "");
}

static void wait_for_the_client_to_go(int fd)
{
    char byte;

    while (read(fd, &byte, 1) > 0) {
    }
}

static void put_block(struct service *service, int fd, const char *head, size_t body)
{
    const char *id = strstr(head, "blockid=") + strlen("blockid=");
    char fourth[AZURE_COMMIT_ID_SIZE];
    bool first = service->block_count == 0;

    azure_commit_format_id(fourth, RUN, 3);
    if (service->fault == FAULT_REFUSE_BLOCK) {
        if (strncmp(id, fourth, 32) == 0) {
            refuse(fd, "403 x", "AuthenticationFailed");
        } else {
            pthread_mutex_unlock(&service->lock);
            wait_for_the_client_to_go(fd);
            pthread_mutex_lock(&service->lock);
        }
        return;
    }
    assert_true(service->block_count < MOST_BLOCKS);
    struct stored *block = &service->blocks[service->block_count++];
    snprintf(block->id, sizeof(block->id), "%.32s", id);
    block->size = body;
    if (service->fault == FAULT_ALWAYS_DAMAGED || (service->fault == FAULT_DAMAGED_ONCE && first)) {
        service->block_count -= service->fault == FAULT_ALWAYS_DAMAGED;
        refuse(fd, "400 x", "Md5Mismatch");
        return;
    }
    answer(fd, "201 Created", "", "");
}

static void commit_blocks(struct service *service, const char *body)
{
    static const char tag[] = "<Uncommitted>";

    for (const char *at = strstr(body, tag); at != NULL; at = strstr(at + 1, tag)) {
        for (size_t i = 0; i < service->block_count; i++) {
            if (strncmp(service->blocks[i].id, at + strlen(tag), 32) == 0) {
                service->committed[service->committed_count++] = service->blocks[i];
                break;
            }
        }
    }
    if (service->fault == FAULT_SWAP) {
        struct stored first = service->committed[0];
        service->committed[0] = service->committed[1];
        service->committed[1] = first;
    }
    service->committed_count -= service->fault == FAULT_SHORT;
    service->exists = true;
}

static void put_block_list(struct service *service, int fd, const char *head, const char *body)
{
    const char *run = strcasestr(head, "x-ms-meta-run: ");

    assert_non_null(strcasestr(head, "\r\nIf-None-Match: *\r\n"));
    assert_non_null(strcasestr(head, "\r\nx-ms-blob-content-type: application/zstd\r\n"));
    assert_non_null(run);
    service->commits++;
    if (service->exists && service->fault == FAULT_FORGET_BLOCKS) {
        refuse(fd, "400 x", "InvalidBlockList");
        return;
    }
    bool silent = service->fault == FAULT_LOSE_ANSWERS ||
                  (service->commits == 1 &&
                   (service->fault == FAULT_LOSE_ANSWER || service->fault == FAULT_FORGET_BLOCKS));
    if (!service->exists) {
        commit_blocks(service, body);
        snprintf(service->run, sizeof(service->run), "%.16s", run + strlen("x-ms-meta-run: "));
    } else if (!silent) {
        refuse(fd, "409 x", "BlobAlreadyExists");
        return;
    }
    if (!silent) {
        answer(fd, "201 Created", "", "");
    }
}

static void get_block_list(struct service *service, int fd)
{
    struct text list = TEXT_INIT(1 << 16);

    if (service->fault == FAULT_NO_CHECK) {
        refuse(fd, "403 x", "AuthorizationPermissionMismatch");
        return;
    }
    text_append(&list, "<?xml version=\"1.0\"?><BlockList><CommittedBlocks>");
    for (size_t i = 0; i < service->committed_count; i++) {
        text_appendf(&list, "<Block><Name>%s</Name><Size>%zu</Size></Block>",
                     service->committed[i].id, service->committed[i].size);
    }
    text_append(&list, "</CommittedBlocks></BlockList>");
    answer(fd, "200 OK", "", text_string(&list));
    text_clear(&list);
}

static void head_blob(struct service *service, int fd)
{
    char head[512];
    size_t total = 0;

    if (!service->exists) {
        refuse(fd, "404 x", "BlobNotFound");
        return;
    }
    for (size_t i = 0; i < service->committed_count; i++) {
        total += service->committed[i].size;
    }
    int length = snprintf(head, sizeof(head),
                          "HTTP/1.1 200 OK\r\nETag: \"0x1\"\r\nX-Ms-Meta-Run: %s\r\n"
                          "Connection: close\r\nContent-Length: %zu\r\n\r\n",
                          service->run, total);
    ssize_t sent = send(fd, head, (size_t)length, MSG_NOSIGNAL);
    (void)sent;
}

static void serve_request(struct service *service, int fd, const char *head, const char *body,
                          size_t body_size)
{
    bool busy = service->fault == FAULT_BUSY_ONCE && service->requests == 0;

    service->requests++;
    if (busy) {
        refuse(fd, "503 x", "ServerBusy");
    } else if (strncmp(head, "HEAD ", 5) == 0) {
        head_blob(service, fd);
    } else if (strncmp(head, "DELETE ", 7) == 0) {
        assert_non_null(strstr(head, "\r\nIf-Match: \"0x1\"\r\n"));
        service->exists = false;
        answer(fd, "202 Accepted", "", "");
    } else if (strncmp(head, "GET ", 4) == 0) {
        get_block_list(service, fd);
    } else if (strstr(head, "comp=blocklist") != NULL) {
        put_block_list(service, fd, head, body);
    } else {
        put_block(service, fd, head, body_size);
    }
}

/* One request per connection: read whole, answered, closed. */
static void *serve_connection(void *context)
{
    struct connection *connection = context;
    struct service *service = connection->service;
    struct text request = TEXT_INIT(1 << 20);
    char buffer[8192];
    const char *end = NULL;
    size_t body = 0;
    ssize_t got;

    while ((end == NULL || request.length < (size_t)(end - request.data) + body) &&
           (got = read(connection->fd, buffer, sizeof(buffer))) > 0) {
        text_append_bytes(&request, buffer, (size_t)got);
        end = strstr(text_string(&request), "\r\n\r\n");
        if (end != NULL) {
            const char *length = strcasestr(text_string(&request), "\r\nContent-Length: ");
            end += 4;
            body = length != NULL && length < end ? strtoul(length + 18, NULL, 10) : 0;
        }
    }
    if (end != NULL) {
        pthread_mutex_lock(&service->lock);
        serve_request(service, connection->fd, text_string(&request), end, body);
        pthread_mutex_unlock(&service->lock);
    }
    text_clear(&request);
    close(connection->fd);
    free(connection);
    return NULL;
}

static void *accept_connections(void *context)
{
    struct service *service = context;
    int fd;

    while ((fd = accept(service->listener, NULL, NULL)) >= 0) {
        struct connection *connection = malloc(sizeof(*connection));
        assert_non_null(connection);
        *connection = (struct connection){.service = service, .fd = fd};
        assert_true(service->thread_count < sizeof(service->threads) / sizeof(service->threads[0]));
        pthread_create(&service->threads[service->thread_count++], NULL, serve_connection,
                       connection);
    }
    return NULL;
}

/* The service, an account there, and an upload under way. */
struct fixture {
    struct service service;
    struct azure_account account;
    struct azure_options options;
    struct azure_session session;
    struct upload *upload;
};

static struct fixture *fixture_new(enum fault fault)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    const struct http_limits limits = {.connect_ms = 10000, .stall_s = 60};
    char connection[256];
    struct error err = ERROR_INIT;

    assert_non_null(fixture);
    struct service *service = &fixture->service;
    service->fault = fault;
    service->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(service->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(service->listener, 64), 0);
    assert_int_equal(getsockname(service->listener, (struct sockaddr *)&address, &size), 0);
    pthread_mutex_init(&service->lock, NULL);
    assert_int_equal(pthread_create(&service->acceptor, NULL, accept_connections, service), 0);
    snprintf(connection, sizeof(connection),
             "AccountName=rythm;AccountKey=c2VjcmV0a2V5;BlobEndpoint=http://127.0.0.1:%d",
             ntohs(address.sin_port));
    assert_true(azure_account_parse(connection, &fixture->account, &err));
    fixture->session = (struct azure_session){
        .account = &fixture->account,
        .options = &fixture->options,
        .container = "backups",
        .client = http_client_new(&limits, &err),
        .policy = {.attempts = 4, .first_wait_ms = 2, .longest_wait_ms = 4, .total_ms = 60000}};
    assert_non_null(fixture->session.client);
    static struct store store;
    const struct azure_upload_options options = {.store = &store,
                                                 .session = &fixture->session,
                                                 .block_limits = limits,
                                                 .blob = "folder/b.sql.zst",
                                                 .run_id = RUN,
                                                 .parallel = THREADS};
    assert_true(azure_upload_begin(&options, &fixture->upload, &err));
    return fixture;
}

static void fixture_free(struct fixture *fixture)
{
    http_client_free(fixture->session.client);
    azure_account_clear(&fixture->account);
    shutdown(fixture->service.listener, SHUT_RDWR);
    pthread_join(fixture->service.acceptor, NULL);
    for (size_t i = 0; i < fixture->service.thread_count; i++) {
        pthread_join(fixture->service.threads[i], NULL);
    }
    close(fixture->service.listener);
    pthread_mutex_destroy(&fixture->service.lock);
    free(fixture);
}

static bool send_block(struct fixture *fixture, uint32_t index, struct error *err)
{
    struct block *block = calloc(1, sizeof(*block));

    assert_non_null(block);
    *block = (struct block){.index = index,
                            .offset = (uint64_t)index * BLOCK_SIZE,
                            .size = BLOCK_SIZE + index,
                            .data = calloc(1, BLOCK_SIZE + index),
                            .references = 1};
    assert_non_null(block->data);
    bool ok = azure_upload_block(fixture->upload, block, err);
    block_release(block);
    return ok;
}

static bool send_and_commit(struct fixture *fixture, uint32_t blocks, struct error *err)
{
    struct metadata metadata = METADATA_INIT;

    for (uint32_t i = 0; i < blocks; i++) {
        if (!send_block(fixture, i, err)) {
            azure_upload_abandon(fixture->upload);
            return false;
        }
    }
    assert_true(metadata_set(&metadata, "run", RUN, err));
    bool ok = azure_upload_commit(fixture->upload, &metadata, err);
    metadata_clear(&metadata);
    return ok;
}

/* An upload of ten blocks to a service with this fault. */
static void assert_published(enum fault fault, int commits)
{
    struct fixture *fixture = fixture_new(fault);
    struct error err = ERROR_INIT;
    char id[AZURE_COMMIT_ID_SIZE];

    if (!send_and_commit(fixture, 10, &err)) {
        fail_msg("%s", err.text);
    }
    assert_true(fixture->service.exists);
    assert_int_equal(fixture->service.commits, commits);
    assert_int_equal(fixture->service.committed_count, 10);
    for (uint32_t i = 0; i < 10; i++) {
        azure_commit_format_id(id, RUN, i);
        assert_string_equal(fixture->service.committed[i].id, id);
        assert_int_equal(fixture->service.committed[i].size, BLOCK_SIZE + i);
    }
    fixture_free(fixture);
}

static void assert_not_published(enum fault fault, bool exists, const char *text)
{
    struct fixture *fixture = fixture_new(fault);
    struct error err = ERROR_INIT;

    assert_false(send_and_commit(fixture, 10, &err));
    if (strstr(err.text, text) == NULL) {
        fail_msg("'%s' is not in: %s", text, err.text);
    }
    assert_int_equal(fixture->service.exists, exists);
    fixture_free(fixture);
}

static void blocks_are_published_in_order(void **state)
{
    (void)state;
    assert_published(FAULT_NONE, 1);
}

static void empty_object_is_an_empty_list_of_blocks(void **state)
{
    struct fixture *fixture = fixture_new(FAULT_NONE);
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(send_and_commit(fixture, 0, &err));
    assert_true(fixture->service.exists);
    assert_int_equal(fixture->service.block_count, 0);
    fixture_free(fixture);
}

static void what_is_transient_is_tried_again(void **state)
{
    (void)state;
    assert_published(FAULT_BUSY_ONCE, 1);
    assert_published(FAULT_DAMAGED_ONCE, 1);
}

static void damage_that_stays_is_not_repeated_for_ever(void **state)
{
    (void)state;
    assert_not_published(FAULT_ALWAYS_DAMAGED, false, "Md5Mismatch");
}

static void lost_answer_is_resolved_by_asking(void **state)
{
    (void)state;
    assert_published(FAULT_LOSE_ANSWER, 2);
    assert_published(FAULT_LOSE_ANSWERS, 4);
    assert_published(FAULT_FORGET_BLOCKS, 2);
}

static void object_of_another_run_is_left_alone(void **state)
{
    struct fixture *fixture = fixture_new(FAULT_NONE);
    struct error err = ERROR_INIT;

    (void)state;
    fixture->service.exists = true;
    snprintf(fixture->service.run, sizeof(fixture->service.run), OTHER_RUN);
    assert_false(send_and_commit(fixture, 2, &err));
    assert_non_null(strstr(err.text, "exists already"));
    assert_true(fixture->service.exists);
    assert_string_equal(fixture->service.run, OTHER_RUN);
    fixture_free(fixture);
}

/* An object that is not what was sent is found out after the commit, and taken back. */
static void wrong_blocks_are_found_and_removed(void **state)
{
    (void)state;
    assert_not_published(FAULT_SWAP, false, "removed again");
    assert_not_published(FAULT_SHORT, false, "removed again");
}

static void object_that_cannot_be_checked_is_no_success(void **state)
{
    (void)state;
    assert_not_published(FAULT_NO_CHECK, true, "just published");
}

/* The other transfers would last a minute: they are given up. */
static void first_failure_ends_the_upload(void **state)
{
    (void)state;
    assert_not_published(FAULT_REFUSE_BLOCK, false, "storing block 3");
}

static void failure_is_reported_by_flush_too(void **state)
{
    struct fixture *fixture = fixture_new(FAULT_REFUSE_BLOCK);
    struct error err = ERROR_INIT;

    (void)state;
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_true(send_block(fixture, i, &err));
    }
    assert_false(azure_upload_flush(fixture->upload, &err));
    assert_non_null(strstr(err.text, "storing block 3"));
    azure_upload_abandon(fixture->upload);
    fixture_free(fixture);
}

static void abandoned_upload_publishes_nothing(void **state)
{
    struct fixture *fixture = fixture_new(FAULT_NONE);
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(send_block(fixture, 0, &err));
    assert_true(azure_upload_flush(fixture->upload, &err));
    azure_upload_abandon(fixture->upload);
    azure_upload_abandon(NULL);
    assert_int_equal(fixture->service.block_count, 1);
    assert_int_equal(fixture->service.commits, 0);
    fixture_free(fixture);
}

static void block_out_of_order_is_refused(void **state)
{
    struct fixture *fixture = fixture_new(FAULT_NONE);
    struct error err = ERROR_INIT;

    (void)state;
    assert_false(send_block(fixture, 1, &err));
    azure_upload_abandon(fixture->upload);
    fixture_free(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_published_in_order),
        cmocka_unit_test(empty_object_is_an_empty_list_of_blocks),
        cmocka_unit_test(what_is_transient_is_tried_again),
        cmocka_unit_test(damage_that_stays_is_not_repeated_for_ever),
        cmocka_unit_test(lost_answer_is_resolved_by_asking),
        cmocka_unit_test(object_of_another_run_is_left_alone),
        cmocka_unit_test(wrong_blocks_are_found_and_removed),
        cmocka_unit_test(object_that_cannot_be_checked_is_no_success),
        cmocka_unit_test(first_failure_ends_the_upload),
        cmocka_unit_test(failure_is_reported_by_flush_too),
        cmocka_unit_test(abandoned_upload_publishes_nothing),
        cmocka_unit_test(block_out_of_order_is_refused),
    };

    log_configure(LOG_ERROR, LOG_FORMAT_TEXT, false);
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
