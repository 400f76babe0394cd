#include "store/s3/s3_commit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/stop.h"
#include "base/text.h"
#include "store/backup_object.h"
#include "store/objects.h"
#include "store/s3/s3_multipart.h"
#include "store/s3/s3_object.h"

#define REPLY_CAP (64 * 1024)
#define BODY_CAP  ((size_t)4 * 1024 * 1024)

int64_t s3_commit_parts_of(const char *etag)
{
    char number[16];
    int64_t parts = 0;
    const char *dash = strrchr(etag, '-');

    if (dash == NULL || dash - etag != 33 || etag[0] != '"') {
        return 0;
    }
    snprintf(number, sizeof(number), "%.*s", (int)strcspn(dash + 1, "\""), dash + 1);
    return text_parse_integer(number, 1, S3_MULTIPART_MOST_PARTS, &parts) ? parts : 0;
}

/* True when the name is taken by the object of this very run: then a request whose answer was lost
 * has succeeded. */
static bool is_ours(const struct s3_commit *commit, const struct object *object)
{
    return backup_object_has_run(object, commit->run_id) && object->bytes == commit->bytes;
}

/* *ours: the object is there already, made by an earlier attempt of ours. */
static bool check_name(const struct s3_commit *commit, bool *ours, struct error *err)
{
    struct object object = OBJECT_INIT;
    bool found = false;
    bool ok = s3_object_peek(commit->session, commit->key, &object, &found, err);

    *ours = ok && found && is_ours(commit, &object);
    if (ok && found && !*ours) {
        ok = error_set(err, ERROR_FAILED,
                       "an object of this name exists already and was left as it is");
    }
    object_clear(&object);
    return ok;
}

static bool format_parts(const struct s3_commit *commit, struct text *out, struct error *err)
{
    text_append(out, "<CompleteMultipartUpload "
                     "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (uint32_t i = 0; i < commit->part_count; i++) {
        text_appendf(out, "<Part><PartNumber>%" PRIu32 "</PartNumber><ETag>%s</ETag></Part>", i + 1,
                     commit->etags[i]);
    }
    text_append(out, "</CompleteMultipartUpload>");
    return !out->failed ? true : error_set_memory(err);
}

static bool send_once(const struct s3_commit *commit, const struct text *parts, bool conditional,
                      struct http_reply *reply, struct error *err)
{
    bool in_parts = commit->upload_id != NULL;
    const struct block *whole = commit->whole;
    struct s3_request request = {
        .method = in_parts ? "POST" : "PUT",
        .key = commit->key,
        .headers = {{"Content-Type",
                     in_parts ? "application/xml" : backup_object_media_type(commit->key)},
                    {conditional ? "If-None-Match" : NULL, "*"}},
        .metadata = in_parts ? NULL : commit->metadata,
        .body = in_parts        ? parts->data
                : whole != NULL ? (const void *)whole->data
                                : NULL,
        .body_size = in_parts        ? parts->length
                     : whole != NULL ? whole->size
                                     : 0,
        .outcome_in_body = in_parts,
        .answers = {400, 404, 409, 412, 501},
        .permit = commit->permit,
        .permit_context = commit->permit_context,
    };

    if (in_parts) {
        request.parameters[0] = (struct http_header){"uploadId", commit->upload_id};
    }
    return s3_request_send(commit->session, &request, reply, err);
}

static bool send_commit(const struct s3_commit *commit, struct http_reply *reply, struct error *err)
{
    struct text parts = TEXT_INIT(BODY_CAP);
    bool ours = false;
    bool ok = commit->upload_id == NULL || format_parts(commit, &parts, err);

    ok = ok && send_once(commit, &parts, true, reply, err);
    if (ok && reply->status == 501) {
        log_debug("s3_unconditional",
                  "%s does not know If-None-Match: that the name is free was asked before",
                  commit->session->bucket->url);
        ok = check_name(commit, &ours, err) &&
             (ours || send_once(commit, &parts, false, reply, err));
        reply->status = ours ? 200 : reply->status;
    }
    text_clear(&parts);
    return ok;
}

/* The service refused, but perhaps because an earlier attempt, whose answer was lost, did it all:
 * it may say so by the name being taken, or by the upload being gone. */
static bool resolve_refusal(const struct s3_commit *commit, const struct http_reply *reply,
                            struct error *err)
{
    bool ours = false;

    if (!check_name(commit, &ours, err)) {
        return false;
    }
    if (ours) {
        return true;
    }
    s3_request_refuse(commit->session, reply, err);
    if (reply->status == 409) {
        error_hint(err, "another writer was at work on this name: the backup has to be made again");
    }
    return false;
}

/* No answer, or none but "later", to any attempt: one of them may have succeeded. Asked in any
 * case, also when a stop or a lost lock is what ended the attempts. */
static bool resolve_silence(const struct s3_commit *commit, struct error *err)
{
    struct error question = ERROR_INIT;
    bool ours = false;
    bool asked = check_name(commit, &ours, &question);

    if (asked && ours) {
        error_clear(err);
    } else if (!asked) {
        error_hint(err, "whether it was published is not known, for asking failed too: %s",
                   question.text);
    }
    return asked && ours;
}

static bool publish(const struct s3_commit *commit, struct error *err)
{
    struct http_reply reply = HTTP_REPLY_INIT(REPLY_CAP);
    bool ours = false;
    bool ok = check_name(commit, &ours, err);

    if (ok && !ours) {
        ok = send_commit(commit, &reply, err);
        if (!ok) {
            ok = resolve_silence(commit, err);
        } else if (reply.status >= 400) {
            ok = resolve_refusal(commit, &reply, err);
        }
    }
    http_reply_clear(&reply);
    return ok;
}

/* Only while it is still the object of this run. */
static void remove_refuted(const struct s3_commit *commit, const struct object *object,
                           struct error *err)
{
    struct error problem = ERROR_INIT;
    enum store_removal result = STORE_CHANGED;
    bool gone = backup_object_has_run(object, commit->run_id) &&
                s3_object_remove(commit->session, commit->key, object->etag, &result, &problem) &&
                (result == STORE_REMOVED || result == STORE_WAS_GONE);

    if (gone) {
        error_hint(err, "the object was removed again");
    } else {
        error_hint(err, "the object could not be removed: do not restore from it%s%s",
                   problem.kind != ERROR_NONE ? ": " : "", problem.text);
    }
}

static bool examine(const struct s3_commit *commit, struct error *err)
{
    struct object object = OBJECT_INIT;
    bool found = false;

    if (!s3_object_peek(commit->session, commit->key, &object, &found, err)) {
        return false;
    }
    int64_t parts = found && commit->upload_id != NULL ? s3_commit_parts_of(object.etag) : 0;
    bool whole = found && is_ours(commit, &object) && (parts == 0 || parts == commit->part_count);
    if (!found) {
        error_set(err, ERROR_FAILED, "the service does not have it");
    } else if (!whole) {
        error_set(err, ERROR_FAILED,
                  "the service has %" PRIu64 " bytes of it and not the %" PRIu64 " that were sent",
                  object.bytes, commit->bytes);
        remove_refuted(commit, &object, err);
    }
    object_clear(&object);
    return whole;
}

bool s3_commit_publish(const struct s3_commit *commit, struct error *err)
{
    /* After a stop nothing is published (A11); once it is being published, it is seen through. */
    if (!stop_check(err)) {
        return false;
    }
    if (!publish(commit, err)) {
        return error_prefix(err, "publishing %s", commit->key);
    }
    return examine(commit, err) ||
           error_prefix(err, "checking %s, which was just published", commit->key);
}
