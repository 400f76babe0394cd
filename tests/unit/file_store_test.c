/*
 * The file store, in a folder of its own: uploads, listings, removal; what a crash between any two
 * steps leaves behind; and two processes at once.
 *
 * The few system calls that change what is visible are wrapped, so that a test can let the process
 * die before the Nth of them, or let one fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/settings.h"
#include "store/backup_object.h"
#include "store/store.h"

#define NAME    "rythm-backup-2025-01-29T02-00-01-123Z.sql"
#define RUN_ID  "0123456789abcdef"
#define OTHER   "fedcba9876543210"
#define LOCK    ".rythm-backup.lock"
#define PARTIAL "." NAME "." RUN_ID ".partial"

/* The wrapped calls. */

enum call {
    CALL_NONE,
    CALL_FSYNC,
    CALL_RENAME,
    CALL_RENAME_NEW,
    CALL_UNLINK,
    CALL_LINK,
    CALL_WRITE
};

static int die_before; /* the Nth wrapped call; 0: never */
static enum call failing;
static int failing_errno;
static int fail_after; /* that many calls of the kind succeed first */

/* Where children leave their outcome. They all end as in a crash, by becoming another program:
 * nothing is flushed or freed, and no memory checker takes that for a leak. */
#define CHILDREN_MOST 8
#define DIED          42
static int *outcomes; /* shared memory */
static int child_number;

__attribute__((noreturn)) static void leave(int outcome)
{
    outcomes[child_number] = outcome;
    execl("/bin/true", "true", (char *)NULL);
    abort();
}

static int wait_for_child(pid_t child, int number)
{
    int status = 0;

    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    return outcomes[number];
}

static bool fails(enum call call)
{
    if (call != CALL_WRITE && die_before > 0 && --die_before == 0) {
        leave(DIED);
    }
    if (failing != call || fail_after-- > 0) {
        return false;
    }
    errno = failing_errno;
    return true;
}

static void let_fail(enum call call, int errnum, int after)
{
    failing = call;
    failing_errno = errnum;
    fail_after = after;
}

int fsync(int fd)
{
    return fails(CALL_FSYNC) ? -1 : (int)syscall(SYS_fsync, fd);
}

/* Somebody who takes no lock puts a file of our name there, between our check and our rename. */
static bool intrude;

int renameat(int old_fd, const char *old_name, int new_fd, const char *new_name)
{
    if (fails(CALL_RENAME)) {
        return -1;
    }
    if (intrude) {
        close(openat(new_fd, NAME, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    }
    return (int)syscall(SYS_renameat2, old_fd, old_name, new_fd, new_name, 0);
}

/* Another process removes the object and its sidecar between our looks at the one and the other. */
static bool vanish;

int fstatat(int fd, const char *restrict name, struct stat *restrict status, int flags)
{
    int (*real)(int, const char *, struct stat *, int) = NULL;
    void *address = dlsym(RTLD_NEXT, "fstatat");

    memcpy(&real, &address, sizeof(real));
    int result = real(fd, name, status, flags);
    if (vanish && strcmp(name, NAME) == 0) {
        syscall(SYS_unlinkat, fd, NAME, 0);
        syscall(SYS_unlinkat, fd, NAME ".meta", 0);
    }
    return result;
}

int renameat2(int old_fd, const char *old_name, int new_fd, const char *new_name, unsigned flags)
{
    return fails(CALL_RENAME_NEW)
               ? -1
               : (int)syscall(SYS_renameat2, old_fd, old_name, new_fd, new_name, flags);
}

int linkat(int old_fd, const char *old_name, int new_fd, const char *new_name, int flags)
{
    return fails(CALL_LINK) ? -1
                            : (int)syscall(SYS_linkat, old_fd, old_name, new_fd, new_name, flags);
}

int unlinkat(int fd, const char *name, int flags)
{
    return fails(CALL_UNLINK) ? -1 : (int)syscall(SYS_unlinkat, fd, name, flags);
}

ssize_t write(int fd, const void *data, size_t size)
{
    return fails(CALL_WRITE) ? -1 : (ssize_t)syscall(SYS_write, fd, data, size);
}

/* A folder for each test. */

static char folder[64];
static struct store *store;

static struct store *open_store(void)
{
    struct settings settings = {.values = {NULL}};
    struct store *opened = NULL;
    struct error err = ERROR_INIT;
    char url[80];

    snprintf(url, sizeof(url), "file://%s", folder);
    assert_true(store_open(url, &settings, &opened, &err));
    return opened;
}

static int share_memory(void **state)
{
    (void)state;
    outcomes = mmap(NULL, CHILDREN_MOST * sizeof(*outcomes), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return outcomes != MAP_FAILED ? 0 : -1;
}

static int begin(void **state)
{
    struct error err = ERROR_INIT;

    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/rythm-backup-store-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    store = open_store();
    for (int i = 0; i < CHILDREN_MOST; i++) {
        outcomes[i] = -1;
    }
    return store_prepare(store, &err) ? 0 : -1;
}

static void empty_folder(void)
{
    DIR *entries = opendir(folder);

    assert_non_null(entries);
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            unlinkat(dirfd(entries), entry->d_name, 0) != 0) {
            assert_int_equal(unlinkat(dirfd(entries), entry->d_name, AT_REMOVEDIR), 0);
        }
    }
    closedir(entries);
}

static int end(void **state)
{
    (void)state;
    die_before = 0;
    failing = CALL_NONE;
    store_close(store);
    store = NULL;
    empty_folder();
    return rmdir(folder);
}

/* Everything in the folder but the lock. */
static int count_files(void)
{
    DIR *entries = opendir(folder);
    int count = 0;

    assert_non_null(entries);
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
                 strcmp(entry->d_name, LOCK) != 0;
    }
    closedir(entries);
    return count;
}

static const char *path_of(const char *name)
{
    static char path[512];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static bool exists(const char *name)
{
    struct stat status;

    return lstat(path_of(name), &status) == 0;
}

static void put_file(const char *name, const char *content)
{
    FILE *file = fopen(path_of(name), "w");

    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void check_content(const char *name, const char *content)
{
    struct text text = TEXT_INIT(100000);
    struct error err = ERROR_INIT;
    bool found;

    assert_true(file_read(path_of(name), 100000, &text, &found, NULL, &err));
    assert_true(found);
    assert_string_equal(text_string(&text), content);
    text_clear(&text);
}

/* Uploads. */

static bool send_block(struct upload *upload, uint32_t index, uint64_t offset, const char *content,
                       struct error *err)
{
    unsigned char data[64];
    size_t size = strlen(content);

    memcpy(data, content, size);
    struct block block = {
        .index = index, .offset = offset, .size = size, .data = data, .references = 1};
    return store_upload_block(upload, &block, err);
}

static struct metadata metadata_of(const char *run_id)
{
    struct metadata metadata = METADATA_INIT;
    struct error err = ERROR_INIT;

    assert_true(metadata_set(&metadata, "run", run_id, &err));
    assert_true(metadata_set(&metadata, "type", "manual", &err));
    return metadata;
}

static bool begin_upload(const char *name, const char *run_id, struct upload **out,
                         struct error *err)
{
    const struct upload_options options = {.name = name, .run_id = run_id, .parallel = 1};

    return store_upload_begin(store, &options, out, err);
}

/* The content is the run id, in two blocks. */
static bool put(const char *name, const char *run_id, struct error *err)
{
    struct metadata metadata = metadata_of(run_id);
    struct upload *upload = NULL;
    char half[9];
    bool ok = begin_upload(name, run_id, &upload, err);

    snprintf(half, sizeof(half), "%s", run_id);
    ok = ok && send_block(upload, 0, 0, half, err) && send_block(upload, 1, 8, run_id + 8, err) &&
         store_upload_flush(upload, err);
    if (!ok) {
        store_upload_abandon(upload);
    } else {
        ok = store_upload_commit(upload, &metadata, err);
    }
    metadata_clear(&metadata);
    return ok;
}

static void put_good(const char *name)
{
    struct error err = ERROR_INIT;

    if (!put(name, RUN_ID, &err)) {
        fail_msg("%s", err.text);
    }
}

static struct objects list(const char *prefix)
{
    struct objects objects = OBJECTS_INIT;
    struct error err = ERROR_INIT;

    if (!store_list(store, prefix, &objects, &err)) {
        fail_msg("%s", err.text);
    }
    return objects;
}

static struct object head(const char *name)
{
    struct object object = OBJECT_INIT;
    struct error err = ERROR_INIT;
    bool found = false;

    assert_true(store_head(store, name, &object, &found, &err));
    assert_true(found);
    return object;
}

static void test_upload_end_to_end(void **state)
{
    struct stat status;

    (void)state;
    put_good(NAME);
    check_content(NAME, RUN_ID);
    check_content(NAME ".meta", "{\n  \"run\": \"" RUN_ID "\",\n  \"type\": \"manual\"\n}\n");
    assert_int_equal(count_files(), 2);
    assert_int_equal(stat(path_of(NAME), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);

    struct objects objects = list("rythm-backup-");
    assert_int_equal(objects.count, 1);
    assert_string_equal(objects.items[0].name, NAME);
    assert_int_equal(objects.items[0].bytes, 16);
    assert_true(objects.items[0].modified_ms ==
                (int64_t)status.st_mtim.tv_sec * 1000 + status.st_mtim.tv_nsec / 1000000);
    assert_int_equal(objects.items[0].metadata.count, 2);
    assert_string_equal(metadata_get(&objects.items[0].metadata, "run"), RUN_ID);
    struct object object = head(NAME);
    assert_string_equal(object.etag, objects.items[0].etag);
    object_clear(&object);
    objects_clear(&objects);
}

static void test_nothing_is_visible_before_the_commit(void **state)
{
    struct upload *upload = NULL;
    struct object object = OBJECT_INIT;
    struct error err = ERROR_INIT;
    bool found = true;

    (void)state;
    assert_true(begin_upload(NAME, RUN_ID, &upload, &err));
    assert_true(send_block(upload, 0, 0, "abc", &err));
    assert_true(store_upload_flush(upload, &err));
    assert_true(exists(PARTIAL));
    struct objects objects = list("");
    assert_int_equal(objects.count, 0);
    assert_true(store_head(store, NAME, &object, &found, &err));
    assert_false(found);
    store_upload_abandon(upload);
    assert_int_equal(count_files(), 0);
}

static void test_an_empty_upload(void **state)
{
    struct metadata metadata = METADATA_INIT;
    struct upload *upload = NULL;
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(begin_upload("empty", RUN_ID, &upload, &err));
    assert_true(store_upload_commit(upload, &metadata, &err));
    struct object object = head("empty");
    assert_int_equal(object.bytes, 0);
    assert_int_equal(object.metadata.count, 0);
    object_clear(&object);
}

static void test_blocks_out_of_order_are_refused(void **state)
{
    struct upload *upload = NULL;
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(begin_upload(NAME, RUN_ID, &upload, &err));
    assert_false(send_block(upload, 1, 8, "abc", &err));
    assert_non_null(strstr(err.text, "begins at 8 instead of 0"));
    store_upload_abandon(upload);
}

/* Invariant I2. */
static void test_a_published_object_is_never_replaced(void **state)
{
    struct metadata metadata = metadata_of(OTHER);
    struct upload *early = NULL;
    struct upload *late = NULL;
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(begin_upload(NAME, OTHER, &early, &err));
    put_good(NAME);
    assert_false(begin_upload(NAME, OTHER, &late, &err));
    assert_non_null(strstr(err.text, NAME " already exists in the folder /tmp/"));
    assert_true(send_block(early, 0, 0, "other", &err));
    assert_false(store_upload_commit(early, &metadata, &err));
    assert_non_null(strstr(err.text, "already exists"));
    assert_non_null(strstr(err.text, "nothing was overwritten"));
    metadata_clear(&metadata);
    check_content(NAME, RUN_ID);
    struct object object = head(NAME);
    assert_string_equal(metadata_get(&object.metadata, "run"), RUN_ID);
    object_clear(&object);
    assert_int_equal(count_files(), 2);
}

/* The intruder's file neither goes away nor gets our metadata. */
static void check_intruder(void)
{
    struct error err = ERROR_INIT;

    intrude = true;
    assert_false(put(NAME, RUN_ID, &err));
    intrude = false;
    assert_non_null(strstr(err.text, "already exists"));
    check_content(NAME, "");
    assert_int_equal(count_files(), 1);
}

static void test_an_intruder(void **state)
{
    (void)state;
    check_intruder();
}

static void test_an_intruder_without_renameat2(void **state)
{
    (void)state;
    let_fail(CALL_RENAME_NEW, EINVAL, 0);
    check_intruder();
}

/* File systems, and kernels, without RENAME_NOREPLACE. */
static void test_publishing_by_link(void **state)
{
    static const int reasons[] = {EINVAL, ENOSYS};
    struct error err = ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        let_fail(CALL_RENAME_NEW, reasons[i], 0);
        put_good(NAME);
        check_content(NAME, RUN_ID);
        assert_int_equal(count_files(), 2);
        assert_false(put(NAME, OTHER, &err));
        assert_non_null(strstr(err.text, "already exists"));
        check_content(NAME, RUN_ID);
        empty_folder();
    }
}

static void test_a_full_disk(void **state)
{
    static const struct {
        enum call call;
        int after;
    } cases[] = {{CALL_WRITE, 0}, {CALL_WRITE, 1}, {CALL_WRITE, 2},  {CALL_FSYNC, 0},
                 {CALL_FSYNC, 1}, {CALL_FSYNC, 2}, {CALL_RENAME, 0}, {CALL_RENAME_NEW, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = ERROR_INIT;
        let_fail(cases[i].call, ENOSPC, cases[i].after);
        assert_false(put(NAME, RUN_ID, &err));
        failing = CALL_NONE;
        assert_non_null(strstr(err.text, folder));
        assert_non_null(strstr(err.text, "No space left on device"));
        assert_int_equal(count_files(), 0);
    }
}

static void test_a_full_disk_is_explained(void **state)
{
    struct error err = ERROR_INIT;

    (void)state;
    let_fail(CALL_WRITE, ENOSPC, 0);
    assert_false(put(NAME, RUN_ID, &err));
    failing = CALL_NONE;
    assert_non_null(strstr(err.text, "make room there, or choose another store"));
}

/* The kernel reports a write that was lost once only. */
static void test_a_failed_flush_cannot_be_committed(void **state)
{
    struct metadata metadata = metadata_of(RUN_ID);
    struct upload *upload = NULL;
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(begin_upload(NAME, RUN_ID, &upload, &err));
    assert_true(send_block(upload, 0, 0, "abc", &err));
    let_fail(CALL_FSYNC, EIO, 0);
    assert_false(store_upload_flush(upload, &err));
    failing = CALL_NONE;
    assert_false(store_upload_commit(upload, &metadata, &err));
    assert_non_null(strstr(err.text, "was not written whole"));
    metadata_clear(&metadata);
    assert_int_equal(count_files(), 0);
}

static void test_bad_names(void **state)
{
    static const char *const bad[] = {"",     ".",    "..",     ".hidden", "a/b",
                                      "/etc", "../x", "x.meta", "a/../b"};
    static const char *const bad_runs[] = {"", "0123456789abcde", "0123456789ABCDEF",
                                           "0123456789abcdef0", "../../../../etc/x"};
    char long_name[300];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct upload *upload = NULL;
        struct object object = {.name = strdup(bad[i]), .etag = strdup("x")};
        struct object out = OBJECT_INIT;
        enum store_removal result;
        struct error err = ERROR_INIT;
        bool found;
        assert_false(begin_upload(bad[i], RUN_ID, &upload, &err));
        assert_non_null(strstr(err.text, "cannot be the name of an object"));
        assert_false(store_head(store, bad[i], &out, &found, &err));
        assert_false(store_remove(store, &object, &result, &err));
        assert_false(store_discard(store, bad[i], RUN_ID, &err));
        object_clear(&object);
    }
    for (size_t i = 0; i < sizeof(bad_runs) / sizeof(bad_runs[0]); i++) {
        struct upload *upload = NULL;
        struct error err = ERROR_INIT;
        assert_false(begin_upload(NAME, bad_runs[i], &upload, &err));
        assert_non_null(strstr(err.text, "is not a run id"));
        assert_false(store_discard(store, NAME, bad_runs[i], &err));
    }
    memset(long_name, 'x', sizeof(long_name));
    for (size_t length = 200; length <= 201; length++) {
        struct upload *upload = NULL;
        struct error err = ERROR_INIT;
        long_name[length] = '\0';
        assert_int_equal(begin_upload(long_name, RUN_ID, &upload, &err), length == 200);
        store_upload_abandon(upload);
        long_name[length] = 'x';
    }
}

/* Listings. */

static void test_what_is_not_an_object(void **state)
{
    static const char *const names[] = {"a.sql", "b", NAME, "x.json"};

    (void)state;
    put_file(".hidden", "");
    put_file("x.meta", "{}");
    put_file("x.json", "{}");
    put_file("b", "12345");
    put_file("a.sql", "");
    assert_int_equal(mkdir(path_of("folder.sql"), 0700), 0);
    assert_int_equal(symlink("/etc/passwd", path_of("link.sql")), 0);
    assert_int_equal(mkfifo(path_of("fifo.sql"), 0600), 0);
    put_good(NAME);
    struct objects objects = list("");
    assert_int_equal(objects.count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(objects.items[i].name, names[i]);
    }
    objects_clear(&objects);
    objects = list("a");
    assert_int_equal(objects.count, 1);
    assert_int_equal(objects.items[0].metadata.count, 0);
    objects_clear(&objects);
    /* Not ours: no listing takes it away. */
    assert_true(exists("x.meta"));
}

/* Whatever the sidecar is, the object is listed and nobody takes it for a backup. */
static void test_broken_sidecars(void **state)
{
    static const char *const broken[] = {
        "",
        "{",
        "[]",
        "null",
        "\"x\"",
        "{\"run\": \"" RUN_ID "\"",
        "{\"run\": 1}",
        "{\"run\": {}}",
        "{\"run\": null}",
        "{\"run\": \"a\", \"run\": \"b\"}",
        "{\"Run\": \"a\"}",
        "{\"run\": \"a\\u0000b\"}",
        "{\"run\": \"a\\nb\"}",
        "{\"run\": \"\\u00e4\"}",
        "{\"run\": \"a\"} x",
        "\xff\xfe",
    };

    (void)state;
    put_file(NAME, "data");
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct backup_object backup;
        put_file(NAME ".meta", broken[i]);
        struct objects objects = list("rythm-backup-");
        assert_int_equal(objects.count, 1);
        assert_int_equal(objects.items[0].metadata.count, 1);
        assert_string_equal(metadata_get(&objects.items[0].metadata, "sidecar"), "damaged");
        assert_false(backup_object_parse(&objects.items[0], &backup));
        objects_clear(&objects);
    }
    assert_int_equal(count_files(), 2);
}

static void check_damaged(void)
{
    struct object object = head(NAME);

    assert_string_equal(metadata_get(&object.metadata, "sidecar"), "damaged");
    object_clear(&object);
    assert_int_equal(unlink(path_of(NAME ".meta")), 0);
}

static void test_sidecars_that_are_no_files(void **state)
{
    (void)state;
    put_file(NAME, "data");
    put_file("real", "{\"run\": \"" RUN_ID "\"}");
    assert_int_equal(symlink("real", path_of(NAME ".meta")), 0);
    check_damaged();
    assert_int_equal(mkfifo(path_of(NAME ".meta"), 0600), 0);
    check_damaged();
}

static void test_sidecars_that_are_too_much(void **state)
{
    char *content = malloc(100001);

    (void)state;
    assert_non_null(content);
    memset(content, '[', 100000);
    content[100000] = '\0';
    put_file(NAME, "data");
    put_file(NAME ".meta", content);
    check_damaged();
    content[60000] = '\0';
    put_file(NAME ".meta", content);
    check_damaged();
    /* Valid, but over the cap. */
    memset(content, ' ', 100000);
    memcpy(content, "{}", 2);
    put_file(NAME ".meta", content);
    check_damaged();
    memset(content, 'x', 100000);
    memcpy(content, "{\"run\": \"", 9);
    memcpy(content + 9 + METADATA_VALUE_SIZE, "\"}", 3);
    put_file(NAME ".meta", content);
    check_damaged();
    free(content);
}

/* Listed without metadata it would pass for one of the old service's. */
static void test_an_object_that_vanishes(void **state)
{
    struct object object = OBJECT_INIT;
    struct error err = ERROR_INIT;
    bool found = true;

    (void)state;
    put_good(NAME);
    vanish = true;
    struct objects objects = list("");
    vanish = false;
    assert_int_equal(objects.count, 0);
    put_good(NAME);
    vanish = true;
    assert_true(store_head(store, NAME, &object, &found, &err));
    vanish = false;
    assert_false(found);
}

static void test_objects_of_the_old_service(void **state)
{
    struct backup_object backup;

    (void)state;
    put_file(NAME, "data");
    struct objects objects = list("rythm-backup-");
    assert_int_equal(objects.count, 1);
    assert_true(backup_object_parse(&objects.items[0], &backup));
    assert_true(backup.legacy);
    objects_clear(&objects);
}

static void test_a_folder_that_is_not_there(void **state)
{
    struct objects objects = OBJECTS_INIT;
    struct upload *upload = NULL;
    struct error err = ERROR_INIT;
    char saved[64];

    (void)state;
    memcpy(saved, folder, sizeof(saved));
    store_close(store);
    snprintf(folder, sizeof(folder), "%.48s/no/such", saved);
    store = open_store();
    assert_false(store_list(store, "", &objects, &err));
    assert_non_null(strstr(err.text, "/no/such does not exist"));
    assert_false(begin_upload(NAME, RUN_ID, &upload, &err));
    assert_true(store_discard(store, NAME, RUN_ID, &err));
    memcpy(folder, saved, sizeof(folder));
}

/* The folder and its parents are made, for their owner alone. */
static void test_prepare_makes_the_folder(void **state)
{
    struct error err = ERROR_INIT;
    struct stat status;
    char saved[64];

    (void)state;
    memcpy(saved, folder, sizeof(saved));
    store_close(store);
    snprintf(folder, sizeof(folder), "%.40s//a%%20b/c/", saved);
    store = open_store();
    assert_true(store_prepare(store, &err));
    assert_true(store_prepare(store, &err));
    put_good(NAME);
    memcpy(folder, saved, sizeof(folder));
    assert_int_equal(stat(path_of("a b"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_int_equal(stat(path_of("a b/c"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_int_equal(unlink(path_of("a b/c/" NAME)), 0);
    assert_int_equal(unlink(path_of("a b/c/" NAME ".meta")), 0);
    assert_int_equal(unlink(path_of("a b/c/" LOCK)), 0);
    assert_int_equal(rmdir(path_of("a b/c")), 0);
}

static mode_t mode_of(const char *name)
{
    struct stat status;

    assert_int_equal(stat(path_of(name), &status), 0);
    return status.st_mode & 07777;
}

static struct store *open_with(const char *options, struct error *err)
{
    struct settings settings = {.values = {NULL}};
    struct store *opened = NULL;
    char url[256];

    snprintf(url, sizeof(url), "file://%s/x%s", folder, options);
    return store_open(url, &settings, &opened, err) ? opened : NULL;
}

static void test_mode_and_owner(void **state)
{
    char saved[64];
    char options[64];
    struct error err = ERROR_INIT;
    struct stat status;

    (void)state;
    store_close(store);
    snprintf(options, sizeof(options), "?mode=0644&owner=%d:%d", (int)geteuid(), (int)getegid());
    store = open_with(options, &err);
    assert_non_null(store);
    assert_true(store_prepare(store, &err));
    put_good(NAME);
    assert_int_equal(mode_of("x"), 0755);
    assert_int_equal(mode_of("x/" NAME), 0644);
    assert_int_equal(mode_of("x/" NAME ".meta"), 0644);
    assert_int_equal(stat(path_of("x/" NAME), &status), 0);
    assert_int_equal(status.st_uid, geteuid());
    assert_int_equal(status.st_gid, getegid());
    /* One that is there is not changed. */
    assert_int_equal(chmod(path_of("x"), 0700), 0);
    assert_true(store_prepare(store, &err));
    assert_int_equal(mode_of("x"), 0700);
    memcpy(saved, folder, sizeof(saved));
    snprintf(folder, sizeof(folder), "%.40s/x", saved);
    empty_folder();
    memcpy(folder, saved, sizeof(folder));
}

static void test_mode_and_owner_that_are_not(void **state)
{
    static const struct {
        const char *options;
        const char *text;
    } cases[] = {
        {"?mode=640x", "octal digits"},
        {"?mode=8", "octal digits"},
        {"?mode=00640", "octal digits"},
        {"?mode=0755", "nobody execute"},
        {"?mode=0666", "others not write"},
        {"?mode=0240", "let the owner read"},
        {"?mode=4600", "nobody execute"},
        {"?owner=", "USER or USER:GROUP"},
        {"?owner=:staff", "USER or USER:GROUP"},
        {"?owner=root:", "USER or USER:GROUP"},
        {"?owner=root:root:root", "USER or USER:GROUP"},
        {"?owner=no-such-user-here", "a user that this host does not know"},
        {"?owner=root:no-such-group-here", "a group that this host does not know"},
        {"?owner=4294967295", "a user that this host does not know"},
        {"?tier=cool", "has no option 'tier'"},
    };
    struct error err = ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_null(open_with(cases[i].options, &err));
        assert_int_equal(err.kind, ERROR_CONFIG);
        if (strstr(err.text, cases[i].text) == NULL) {
            fail_msg("'%s' is not in: %s", cases[i].text, err.text);
        }
    }
}

static void test_prepare_over_a_file(void **state)
{
    struct error err = ERROR_INIT;
    char saved[64];

    (void)state;
    put_file("file", "");
    memcpy(saved, folder, sizeof(saved));
    store_close(store);
    snprintf(folder, sizeof(folder), "%.40s/file/x", saved);
    store = open_store();
    assert_false(store_prepare(store, &err));
    assert_non_null(strstr(err.text, "/file/x: Not a directory"));
    memcpy(folder, saved, sizeof(folder));
}

/* Removal. */

static enum store_removal remove_object(const struct object *object)
{
    enum store_removal result = STORE_IMMUTABLE;
    struct error err = ERROR_INIT;

    if (!store_remove(store, object, &result, &err)) {
        fail_msg("%s", err.text);
    }
    return result;
}

static void test_remove(void **state)
{
    (void)state;
    put_good(NAME);
    struct object object = head(NAME);
    assert_int_equal(remove_object(&object), STORE_REMOVED);
    assert_int_equal(count_files(), 0);
    assert_int_equal(remove_object(&object), STORE_WAS_GONE);
    object_clear(&object);
}

static void test_remove_what_has_changed(void **state)
{
    (void)state;
    put_good(NAME);
    struct object object = head(NAME);
    put_file(NAME, "something else now");
    assert_int_equal(remove_object(&object), STORE_CHANGED);
    assert_int_equal(unlink(path_of(NAME)), 0);
    assert_int_equal(symlink("/etc/passwd", path_of(NAME)), 0);
    assert_int_equal(remove_object(&object), STORE_CHANGED);
    assert_true(exists(NAME ".meta"));
    object_clear(&object);
}

static void test_remove_that_fails(void **state)
{
    enum store_removal result;
    struct error err = ERROR_INIT;

    (void)state;
    put_good(NAME);
    struct object object = head(NAME);
    let_fail(CALL_UNLINK, EACCES, 0);
    assert_false(store_remove(store, &object, &result, &err));
    failing = CALL_NONE;
    assert_non_null(strstr(err.text, "removing " NAME " in the folder "));
    assert_int_equal(count_files(), 2);
    object_clear(&object);
}

static void test_discard(void **state)
{
    struct upload *upload = NULL;
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(store_discard(store, NAME, RUN_ID, &err));
    put_file(PARTIAL, "half");
    put_file("." NAME "." RUN_ID ".meta", "{}");
    put_file(NAME ".meta", "{\"run\": \"" RUN_ID "\"}");
    put_file("." NAME "." OTHER ".partial", "another run's");
    assert_true(store_discard(store, NAME, RUN_ID, &err));
    assert_int_equal(count_files(), 1);
    assert_true(exists("." NAME "." OTHER ".partial"));
    /* A sidecar without its object, but another run's. */
    put_file(NAME ".meta", "{\"run\": \"" OTHER "\"}");
    assert_true(store_discard(store, NAME, RUN_ID, &err));
    assert_true(exists(NAME ".meta"));
    /* After it the same run can begin anew. */
    put_file(PARTIAL, "half");
    assert_false(begin_upload(NAME, RUN_ID, &upload, &err));
    assert_true(store_discard(store, NAME, RUN_ID, &err));
    assert_true(begin_upload(NAME, RUN_ID, &upload, &err));
    store_upload_abandon(upload);
}

static void test_discard_spares_what_is_published(void **state)
{
    struct error err = ERROR_INIT;

    (void)state;
    put_good(NAME);
    assert_true(store_discard(store, NAME, RUN_ID, &err));
    assert_true(store_discard(store, NAME, OTHER, &err));
    check_content(NAME, RUN_ID);
    assert_int_equal(count_files(), 2);
}

/* Crashes and other processes. */

/* Runs `body` in a child that dies before its Nth wrapped call; gives its outcome. */
static int run_child(void (*body)(void), int nth)
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        die_before = nth;
        body();
        leave(0);
    }
    return wait_for_child(child, 0);
}

/* True when the object is visible; it then has all its bytes and all its metadata. */
static bool is_visible_and_whole(void)
{
    struct objects objects = list("");
    bool visible = objects.count == 1;

    assert_true(objects.count <= 1);
    if (visible) {
        assert_int_equal(objects.items[0].bytes, 16);
        assert_int_equal(objects.items[0].metadata.count, 2);
        assert_string_equal(metadata_get(&objects.items[0].metadata, "run"), RUN_ID);
        check_content(NAME, RUN_ID);
    }
    objects_clear(&objects);
    return visible;
}

static void child_puts(void)
{
    struct error err = ERROR_INIT;

    store = open_store();
    if (!store_prepare(store, &err) || !put(NAME, RUN_ID, &err)) {
        leave(1);
    }
}

static void child_puts_by_link(void)
{
    let_fail(CALL_RENAME_NEW, EINVAL, 0);
    child_puts();
}

static void check_crashes_while_publishing(void (*body)(void))
{
    struct error err = ERROR_INIT;
    int visible = 0;
    int nth = 1;

    for (; run_child(body, nth) != 0; nth++) {
        assert_true(nth < 50);
        bool before = is_visible_and_whole();
        assert_true(store_discard(store, NAME, RUN_ID, &err));
        assert_int_equal(is_visible_and_whole(), before);
        assert_int_equal(count_files(), before ? 2 : 0);
        visible += before;
        empty_folder();
    }
    /* Died at places where it was not yet, and where it was already visible. */
    assert_true(visible > 0 && visible < nth - 1);
    assert_true(is_visible_and_whole());
}

static void test_crashes_while_publishing(void **state)
{
    (void)state;
    check_crashes_while_publishing(child_puts);
}

static void test_crashes_while_publishing_by_link(void **state)
{
    (void)state;
    check_crashes_while_publishing(child_puts_by_link);
}

static void child_removes(void)
{
    store = open_store();
    struct object object = head(NAME);
    if (remove_object(&object) != STORE_REMOVED) {
        leave(1);
    }
}

/* What is left is the whole object, or nothing but its sidecar, which lists as nothing. */
static void test_crashes_while_removing(void **state)
{
    int orphans = 0;
    int nth = 1;

    (void)state;
    put_good(NAME);
    for (; run_child(child_removes, nth) != 0; nth++) {
        assert_true(nth < 50);
        orphans += count_files() == 1;
        bool visible = is_visible_and_whole();
        assert_true(visible ? count_files() == 2 : count_files() <= 1);
        if (!visible) {
            put_good(NAME);
        }
    }
    assert_true(orphans > 0);
    assert_int_equal(count_files(), 0);
}

static pid_t start_writer(int number, const char *run_id)
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        struct error err = ERROR_INIT;
        child_number = number;
        store = open_store();
        bool ok = store_prepare(store, &err) && put(NAME, run_id, &err);
        leave(ok ? 0 : strstr(err.text, "already exists") != NULL ? 1 : 2);
    }
    return child;
}

/* One wins, the others are told; bytes and metadata are the same run's. */
static void test_writers_of_the_same_name(void **state)
{
    pid_t children[CHILDREN_MOST];
    int winners = 0;

    (void)state;
    for (int i = 0; i < CHILDREN_MOST; i++) {
        char run_id[BACKUP_RUN_ID_SIZE];
        snprintf(run_id, sizeof(run_id), "%016x", (unsigned)i);
        children[i] = start_writer(i, run_id);
    }
    for (int i = 0; i < CHILDREN_MOST; i++) {
        int outcome = wait_for_child(children[i], i);
        assert_in_range(outcome, 0, 1);
        winners += outcome == 0;
    }
    assert_int_equal(winners, 1);
    struct object object = head(NAME);
    check_content(NAME, metadata_get(&object.metadata, "run"));
    object_clear(&object);
    assert_int_equal(count_files(), 2);
}

#define ROUNDS 30

static pid_t start_changing(void)
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        store = open_store();
        for (int i = 0; i < ROUNDS; i++) {
            struct error err = ERROR_INIT;
            enum store_removal result = STORE_WAS_GONE;
            struct object object = OBJECT_INIT;
            bool found = false;
            if (!put(NAME, RUN_ID, &err) || !store_head(store, NAME, &object, &found, &err) ||
                !found || !store_remove(store, &object, &result, &err) || result != STORE_REMOVED) {
                leave(1);
            }
            object_clear(&object);
        }
        leave(0);
    }
    return child;
}

/* A listing beside a process that publishes and removes shows whole objects only, and takes no
 * sidecar away that is about to get its object. */
static void test_listing_beside_another_process(void **state)
{
    pid_t child = start_changing();
    siginfo_t info = {.si_pid = 0};

    (void)state;
    while (waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0) {
        struct objects objects = list("");
        for (size_t i = 0; i < objects.count; i++) {
            assert_string_equal(metadata_get(&objects.items[i].metadata, "run"), RUN_ID);
        }
        objects_clear(&objects);
    }
    assert_int_equal(wait_for_child(child, 0), 0);
    struct objects objects = list("");
    assert_int_equal(objects.count, 0);
    assert_int_equal(count_files(), 0);
}

static bool pass_block(void *context, struct block *block, struct error *err)
{
    return store_upload_block(context, block, err);
}

/* Written through the stream's last stage, so that sizes and limits are the store's own. */
static void test_through_the_block_cutter(void **state)
{
    struct metadata metadata = metadata_of(RUN_ID);
    struct upload *upload = NULL;
    struct error err = ERROR_INIT;
    size_t size = (size_t)20 * 1024 * 1024 + 7;
    char *data = calloc(1, size);
    struct stat status;

    (void)state;
    assert_non_null(data);
    assert_true(begin_upload(NAME, RUN_ID, &upload, &err));
    struct stage *stage = blocks_stage_new(&store->block_limits, pass_block, upload, &err);
    assert_non_null(stage);
    assert_true(stage_write(stage, data, size, &err));
    assert_true(stage_finish(stage, &err));
    stage_free(stage);
    assert_true(store_upload_flush(upload, &err));
    assert_true(store_upload_commit(upload, &metadata, &err));
    metadata_clear(&metadata);
    free(data);
    assert_int_equal(stat(path_of(NAME), &status), 0);
    assert_int_equal(status.st_size, size);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_upload_end_to_end),
        TEST(test_nothing_is_visible_before_the_commit),
        TEST(test_an_empty_upload),
        TEST(test_blocks_out_of_order_are_refused),
        TEST(test_a_published_object_is_never_replaced),
        TEST(test_an_intruder),
        TEST(test_an_intruder_without_renameat2),
        TEST(test_publishing_by_link),
        TEST(test_a_full_disk),
        TEST(test_a_full_disk_is_explained),
        TEST(test_a_failed_flush_cannot_be_committed),
        TEST(test_bad_names),
        TEST(test_what_is_not_an_object),
        TEST(test_broken_sidecars),
        TEST(test_sidecars_that_are_no_files),
        TEST(test_sidecars_that_are_too_much),
        TEST(test_an_object_that_vanishes),
        TEST(test_objects_of_the_old_service),
        TEST(test_a_folder_that_is_not_there),
        TEST(test_prepare_makes_the_folder),
        TEST(test_mode_and_owner),
        TEST(test_mode_and_owner_that_are_not),
        TEST(test_prepare_over_a_file),
        TEST(test_remove),
        TEST(test_remove_what_has_changed),
        TEST(test_remove_that_fails),
        TEST(test_discard),
        TEST(test_discard_spares_what_is_published),
        TEST(test_crashes_while_publishing),
        TEST(test_crashes_while_publishing_by_link),
        TEST(test_crashes_while_removing),
        TEST(test_writers_of_the_same_name),
        TEST(test_listing_beside_another_process),
        TEST(test_through_the_block_cutter),
    };

    return cmocka_run_group_tests(tests, share_memory, NULL);
}
