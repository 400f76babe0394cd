/*
 * One upload to several stores: folders of this test's own. write() is wrapped, so that what is
 * written in one of them can fail, or hang as on a file system that is gone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/settings.h"
#include "base/thread.h"
#include "crypto/digest.h"
#include "store/backup_object.h"
#include "store/fan_out.h"
#include "stream/digest_stage.h"

#define NAME   "rythm-backup-2025-01-29T02-00-01-123Z.sql"
#define RUN_ID "0123456789abcdef"
#define BYTES  ((size_t)20 * 1024 * 1024)
#define PIECE  ((size_t)100 * 1000)

static char folder[] = "/tmp/rythm-backup-fan-XXXXXX";

/* The wrapped call. */

static atomic_bool hangs;      /* in the folder slow */
static atomic_int fails_after; /* so many writes in the folder full; -1: it never does */

ssize_t write(int fd, const void *data, size_t size)
{
    char link[64];
    char path[512] = "";

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    if (readlink(link, path, sizeof(path) - 1) > 0) {
        while (strstr(path, "/slow/") != NULL && atomic_load(&hangs)) {
            usleep(1000);
        }
        if (strstr(path, "/full/") != NULL && atomic_load(&fails_after) >= 0 &&
            atomic_fetch_sub(&fails_after, 1) <= 0) {
            atomic_store(&fails_after, 0);
            errno = ENOSPC;
            return -1;
        }
    }
    return (ssize_t)syscall(SYS_write, fd, data, size);
}

struct scene {
    struct settings settings;
    struct store_pool pool;
    struct store_choice stores;
    struct fan_out *fan_out;
    struct stream_digest digest;
    struct metadata metadata;
    struct error err;
    size_t beside;
};

static void remove_all(void)
{
    pid_t child = fork();
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", "rm -rf \"$0\"/*", folder, (char *)NULL);
        abort();
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static int make_folder(void **state)
{
    (void)state;
    atomic_store(&fails_after, -1);
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    remove_all();
    return rmdir(folder);
}

/* Begins an upload to these folders; a name that begins with '?' is best effort. */
static bool begin(struct scene *scene, int64_t patience_ms, const char *const names[], size_t count)
{
    char urls[2048] = "";

    *scene = (struct scene){.err = ERROR_INIT};
    scene->pool.settings = &scene->settings;
    for (size_t i = 0; i < count; i++) {
        bool best_effort = names[i][0] == '?';
        size_t length = strlen(urls);
        snprintf(urls + length, sizeof(urls) - length, " file://%s/%s%s", folder,
                 names[i] + best_effort, best_effort ? "?required=false" : "");
    }
    assert_true(store_pool_choose(&scene->pool, urls, &scene->stores, &scene->err));
    for (size_t i = 0; i < scene->stores.required_count; i++) {
        assert_true(store_prepare(scene->stores.stores[i], &scene->err));
    }
    const struct fan_out_options options = {
        .settings = &scene->settings,
        .stores = &scene->stores,
        .upload = {.name = NAME, .run_id = RUN_ID, .parallel = 1},
        .patience_ms = patience_ms,
    };
    return fan_out_begin(&options, &scene->fan_out, &scene->err);
}

/* A stream that does not repeat itself within a block. */
static bool stream(struct scene *scene)
{
    unsigned char *piece = malloc(PIECE);
    uint32_t word = 1;
    size_t sent = 0;
    struct stage *stage = digest_stage_new(
        &scene->digest, fan_out_stage_new(scene->fan_out, &scene->err), &scene->err);
    bool ok = true;

    assert_non_null(piece);
    assert_non_null(stage);
    while (ok && sent < BYTES) {
        for (size_t i = 0; i < PIECE; i++) {
            word = word * 1664525 + 1013904223;
            piece[i] = (unsigned char)(word >> 24);
        }
        ok = stage_write(stage, piece, PIECE, &scene->err);
        sent += PIECE;
    }
    ok = ok && stage_finish(stage, &scene->err) && fan_out_flush(scene->fan_out, &scene->err);
    stage_free(stage);
    free(piece);
    return ok;
}

static bool note_beside(void *context, struct store *store, struct error *err)
{
    size_t *beside = context;

    (void)store;
    (void)err;
    __atomic_fetch_add(beside, 1, __ATOMIC_RELAXED);
    return true;
}

static void commit(struct scene *scene)
{
    assert_true(metadata_set(&scene->metadata, BACKUP_RUN_KEY, RUN_ID, &scene->err));
    for (size_t i = 0; i < scene->stores.required_count; i++) {
        assert_true(fan_out_commit(scene->fan_out, i, &scene->metadata, &scene->err));
    }
    fan_out_commit_rest(scene->fan_out,
                        &(const struct fan_out_publication){.beside = note_beside,
                                                            .context = &scene->beside,
                                                            .metadata = &scene->metadata});
}

/* What this folder has under the name is what was sent; false when there is nothing. */
static bool has(const struct scene *scene, const char *name)
{
    char path[256];
    unsigned char sum[DIGEST_SHA256_SIZE];
    char hex[DIGEST_HEX_SIZE(DIGEST_SHA256_SIZE)];
    struct stat status;
    struct error err = ERROR_INIT;

    snprintf(path, sizeof(path), "%s/%s/" NAME, folder, name);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return false;
    }
    assert_int_equal(fstat(fileno(file), &status), 0);
    unsigned char *content = malloc((size_t)status.st_size + 1);
    assert_non_null(content);
    assert_int_equal(fread(content, 1, (size_t)status.st_size, file), status.st_size);
    fclose(file);
    assert_true(digest_of(DIGEST_SHA256, content, (size_t)status.st_size, sum, &err));
    free(content);
    digest_format_hex(hex, sum, sizeof(sum));
    assert_string_equal(hex, scene->digest.sha256);
    return true;
}

static bool is_empty(const char *name)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s/." NAME "." RUN_ID ".partial", folder, name);
    return access(path, F_OK) != 0;
}

static bool end(struct scene *scene)
{
    bool all = fan_out_end(scene->fan_out);

    metadata_clear(&scene->metadata);
    store_choice_clear(&scene->stores);
    store_pool_clear(&scene->pool);
    return all;
}

static void test_one_and_several_get_the_same(void **state)
{
    static const char *const names[] = {"a", "b", "?c"};

    (void)state;
    for (size_t count = 1; count <= 3; count++) {
        struct scene scene;
        assert_true(begin(&scene, 60000, names, count));
        assert_true(stream(&scene));
        assert_false(has(&scene, "a"));
        commit(&scene);
        assert_true(end(&scene));
        assert_true(has(&scene, "a"));
        assert_int_equal(has(&scene, "b"), count > 1);
        assert_int_equal(has(&scene, "c"), count > 2);
        assert_int_equal(scene.beside, count > 2);
        remove_all();
    }
}

/* Nothing becomes visible, and nothing stays. */
static void test_given_up(void **state)
{
    static const char *const names[] = {"a", "b", "?c"};
    struct scene scene;

    (void)state;
    assert_true(begin(&scene, 60000, names, 3));
    assert_true(stream(&scene));
    assert_true(end(&scene));
    assert_false(has(&scene, "a") || has(&scene, "b") || has(&scene, "c"));
    assert_true(is_empty("a") && is_empty("b") && is_empty("c"));
    remove_all();
}

static void test_a_best_effort_store_fails(void **state)
{
    static const char *const names[] = {"?full", "a", "?c"};
    struct scene scene;

    (void)state;
    atomic_store(&fails_after, 3);
    assert_true(begin(&scene, 60000, names, 3));
    assert_true(stream(&scene));
    commit(&scene);
    assert_null(fan_out_failure(scene.fan_out, 0));
    assert_non_null(fan_out_failure(scene.fan_out, 1));
    assert_non_null(strstr(fan_out_failure(scene.fan_out, 1)->text, "space"));
    assert_null(fan_out_failure(scene.fan_out, 2));
    assert_true(end(&scene));
    atomic_store(&fails_after, -1);
    assert_true(has(&scene, "a") && has(&scene, "c"));
    assert_false(has(&scene, "full"));
    assert_true(is_empty("full"));
    remove_all();
}

static void test_a_required_store_fails(void **state)
{
    static const char *const names[] = {"a", "full", "?c"};
    struct scene scene;

    (void)state;
    atomic_store(&fails_after, 3);
    assert_true(begin(&scene, 60000, names, 3));
    assert_false(stream(&scene));
    assert_non_null(strstr(scene.err.text, "/full: "));
    assert_true(end(&scene));
    atomic_store(&fails_after, -1);
    assert_false(has(&scene, "a") || has(&scene, "full") || has(&scene, "c"));
    assert_true(is_empty("a") && is_empty("full") && is_empty("c"));
    remove_all();
}

/* More is sent than all of them may hold: the others wait for it, and then no more. */
static void test_a_best_effort_store_is_too_slow(void **state)
{
    static const char *const names[] = {"a", "?slow", "b"};
    struct scene scene;

    (void)state;
    atomic_store(&hangs, true);
    assert_true(begin(&scene, 200, names, 3));
    assert_true(stream(&scene));
    commit(&scene);
    const struct error *failure = fan_out_failure(scene.fan_out, 2);
    assert_non_null(failure);
    assert_non_null(strstr(failure->text, "it held the backup up"));
    atomic_store(&hangs, false);
    assert_true(end(&scene));
    assert_true(has(&scene, "a") && has(&scene, "b"));
    assert_false(has(&scene, "slow"));
    remove_all();
}

/* In a process of its own, which ends while the thread hangs. */
static void test_a_file_system_that_hangs_is_left_to_itself(void **state)
{
    static const char *const names[] = {"a", "?slow"};
    int status = -1;

    (void)state;
    pid_t child = fork();
    if (child == 0) {
        struct scene scene;
        atomic_store(&hangs, true);
        bool ok = begin(&scene, 200, names, 2) && stream(&scene);
        if (ok) {
            commit(&scene);
        }
        ok = ok && !end(&scene) && has(&scene, "a") && !has(&scene, "slow") &&
             thread_is_left_behind();
        execl(ok ? "/bin/true" : "/bin/false", "end", (char *)NULL);
        abort();
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_false(thread_is_left_behind());
    remove_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_and_several_get_the_same),
        cmocka_unit_test(test_given_up),
        cmocka_unit_test(test_a_best_effort_store_fails),
        cmocka_unit_test(test_a_required_store_fails),
        cmocka_unit_test(test_a_best_effort_store_is_too_slow),
        cmocka_unit_test(test_a_file_system_that_hangs_is_left_to_itself),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
