/*
 * Where backups are kept: the interface that every kind of store fills in, and the calls that
 * everybody else uses.
 *
 * A store knows objects: a name, bytes, and a few named values (metadata). What the values mean is
 * store/backup_object.h. Invariant I2: an object is complete or not visible, and nothing overwrites
 * a published one.
 *
 * To add a kind of store:
 *   1. a folder src/store/KIND/ with a `const struct store_kind` that fills in `struct store_ops`;
 *   2. its row in store_kinds[] (store/store.c);
 *   3. its settings, if any, in base/settings.c;
 *   4. tests/unit/ for its parsers, and its name in tests/integration/conftest.py's `store` list,
 *      which runs every store test against it;
 *   5. README, man page.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/settings.h"
#include "store/metadata.h"
#include "store/objects.h"
#include "store/store_credentials.h"
#include "store/store_url.h"
#include "stream/blocks.h"

struct store;
struct upload;
struct download;

/* Asked immediately before every attempt to publish, in the thread that commits: may this run still
 * do so? False with the error when not (invariant I3). */
typedef bool (*upload_permit)(void *context, struct error *err);

struct upload_options {
    const char *name;   /* of the object, within the store's prefix */
    const char *run_id; /* 16 hex digits: makes what a half-done upload leaves behind its own */
    int parallel;       /* requests in flight, where the store has requests */
    /* For so long from now on retention keeps the object: a store whose URL asks for that makes it
     * immutable until then. 0: not known. */
    int64_t retain_ms;
    upload_permit permit;
    void *permit_context;
};

enum store_removal { STORE_REMOVED, STORE_WAS_GONE, STORE_CHANGED, STORE_IMMUTABLE };

struct store_ops {
    /* What must exist before an upload is made when missing (container, folder). */
    bool (*prepare)(struct store *store, struct error *err);
    /* Every object whose name starts with `prefix`, with metadata: all of them or an error (I6). */
    bool (*list)(struct store *store, const char *prefix, struct objects *out, struct error *err);
    /* One object; *found = false without an error when it is not there. */
    bool (*head)(struct store *store, const char *name, struct object *out, bool *found,
                 struct error *err);
    /* Deletes this object unless it is another one by now (its etag changed). */
    bool (*remove)(struct store *store, const struct object *object, enum store_removal *result,
                   struct error *err);
    /* Removes what an upload that died before its commit can have left, never a published
     * object. */
    bool (*discard)(struct store *store, const char *name, const char *run_id, struct error *err);
    /* *whole: this published object of a run that died is what the run uploaded, no part missing,
     * doubled or out of order, as far as the store can tell without reading it. */
    bool (*confirm)(struct store *store, const struct object *object, const char *run_id,
                    bool *whole, struct error *err);
    /* *same: its bytes have the SHA-256 that its metadata tell. NULL where reading it would be a
     * download: there the service has checked each block when it came. */
    bool (*check_digest)(struct store *store, const struct object *object, bool *same,
                         struct error *err);

    bool (*upload_begin)(struct store *store, const struct upload_options *options,
                         struct upload **out, struct error *err);
    /* Takes the next block, in order; may return before it is stored. */
    bool (*upload_block)(struct upload *upload, struct block *block, struct error *err);
    /* Waits until every block is stored. Still nothing is visible. */
    bool (*upload_flush)(struct upload *upload, struct error *err);
    /* Publishes, only if no object has the name (I2), then checks what the store has (I3). A lost
     * answer is resolved by asking. Ends the upload: it is freed in any case. */
    bool (*upload_commit)(struct upload *upload, const struct metadata *metadata,
                          struct error *err);
    /* Gives up: nothing becomes visible, what can be removed is removed. Frees. NULL is fine. */
    void (*upload_abandon)(struct upload *upload);

    /* As store_download_open(), store_download_read() (which has checked the bounds) and
     * store_download_close(). The store sets what is in struct download. */
    bool (*download_open)(struct store *store, const struct object *object, struct download **out,
                          struct error *err);
    bool (*download_read)(struct download *download, uint64_t offset, void *buffer, size_t size,
                          struct error *err);
    void (*download_close)(struct download *download);

    void (*close)(struct store *store);
};

/* What goes on in stores, for another thread: in a file system that hangs nothing goes on. */
struct store_watch {
    _Atomic(struct store *) at; /* the one that was turned to last; NULL: none yet */
    atomic_uint_fast64_t steps; /* grows with each call, and within those that may take long */
};

/* Embedded by each kind as its first member. */
struct store {
    const struct store_ops *ops;
    /* For people and the ledger: the URL in one spelling, without secrets and without options but
     * those that say which store it is. It opens the store again. */
    char *location;
    bool is_required; /* store_url.required */
    struct block_limits block_limits;
    bool is_remote;    /* a service, not this host's file system */
    bool ignores_stop; /* store_ignore_stop() */
    /* While it is true, what goes on in the store is given up soon, with ERROR_STOPPED, where that
     * can be done: requests can. Another thread may set it; so does an upload that has failed,
     * whose other transfers need not go on. NULL: never. */
    atomic_bool *cancelled;
    struct store_watch *watch; /* or NULL */
    /* A read of it failed since somebody last said that none had: who reads a backup that another
     * store has, too, may turn to that. */
    atomic_bool read_failed;
    /* Set by who knows that nothing was ever put there: a folder or container that does not exist
     * makes an empty list. Otherwise it is an error. */
    bool is_new;
};
struct upload {
    struct store *store;
    upload_permit permit; /* set by store_upload_begin(); NULL: nobody needs to be asked */
    void *permit_context;
};
struct download {
    struct store *store;
    uint64_t bytes;        /* of the object */
    atomic_bool cancelled; /* store_download_cancel() */
};

struct store_kind {
    const char *scheme; /* "file", "azblob", "s3" */
    /* The names of its URLs' options, ending with NULL; beside `required`. NULL: none. */
    const char *const *options;
    /* The form of `url` alone, which needs no setting. Its options are among those above. */
    bool (*check)(const struct store_url *url, struct error *err);
    /* Makes no request yet. */
    bool (*open)(const struct store_url *url, const struct settings *settings, struct store **out,
                 struct error *err);
    /* Adds what of its settings says when it ends; what cannot be read is passed over. NULL:
     * nothing does. */
    bool (*credentials)(const struct settings *settings, struct store_credentials *out,
                        struct error *err);
};

/* Opens the store of a URL: azblob://ACCOUNT/CONTAINER[/PREFIX] (an empty ACCOUNT means the
 * connection string's), s3://BUCKET[/PREFIX] or file:///DIR. Nothing is asked of the store yet. */
bool store_open(const char *url, const struct settings *settings, struct store **out,
                struct error *err);
/* Whether a URL has the form of one. */
bool store_check(const char *url, struct error *err);
/* The URLs that the settings ask for (RYTHM_BACKUP_STORES, else Azure when its connection string is
 * set, else the default folder), separated by single spaces; the caller frees. NULL on failure. */
char *store_urls(const struct settings *settings, struct error *err);

/* What of the settings opens stores, of whichever kind, and says when it ends. The caller clears
 * *out, also after a failure. */
bool store_credentials_read(const struct settings *settings, struct store_credentials *out,
                            struct error *err);

/* As the operations above. upload_abandon, download_close and close accept NULL. */
bool store_prepare(struct store *store, struct error *err);
bool store_list(struct store *store, const char *prefix, struct objects *out, struct error *err);
bool store_head(struct store *store, const char *name, struct object *out, bool *found,
                struct error *err);
bool store_remove(struct store *store, const struct object *object, enum store_removal *result,
                  struct error *err);
/* While `ignore`, head and remove go on after a stop was requested: for cleaning up. */
void store_ignore_stop(struct store *store, bool ignore);
bool store_discard(struct store *store, const char *name, const char *run_id, struct error *err);
bool store_confirm(struct store *store, const struct object *object, const char *run_id,
                   bool *whole, struct error *err);
/* *same is true where the store cannot tell. */
bool store_check_digest(struct store *store, const struct object *object, bool *same,
                        struct error *err);
bool store_upload_begin(struct store *store, const struct upload_options *options,
                        struct upload **out, struct error *err);
bool store_upload_block(struct upload *upload, struct block *block, struct error *err);
/* The stage that cuts what is written to it into this upload's blocks. */
struct stage *store_upload_stage_new(struct upload *upload, struct error *err);
bool store_upload_flush(struct upload *upload, struct error *err);
bool store_upload_commit(struct upload *upload, const struct metadata *metadata, struct error *err);
void store_upload_abandon(struct upload *upload);

/* Begins to read this object of this store as it is now known (its etag). Each download is used by
 * one thread at a time; others of the same store may be opened and read in other threads meanwhile.
 */
bool store_download_open(struct store *store, const struct object *object, struct download **out,
                         struct error *err);
/* Exactly `size` bytes from `offset` on into `buffer`, whose content is worth nothing after a
 * failure. All bytes that a download gives are of one version of the object: that it was replaced,
 * changed or removed meanwhile is an error that says so. What is transient is tried again inside,
 * and a stop is heard. */
bool store_download_read(struct download *download, uint64_t offset, void *buffer, size_t size,
                         struct error *err);
/* From another thread: the read that goes on, and every later one, ends with ERROR_STOPPED. */
void store_download_cancel(struct download *download);
void store_download_close(struct download *download);
void store_close(struct store *store);

/* For stores, within a call that may take long: something goes on in it (struct store_watch). */
void store_step(struct store *store);

#endif
