#include "store/azure/azure_commit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/stop.h"
#include "base/text.h"
#include "crypto/base64.h"
#include "store/azure/azure_object.h"
#include "store/backup_object.h"
#include "store/objects.h"
#include "store/xml.h"

#define REPLY_CAP      (64 * 1024)
#define BLOCK_LIST_CAP ((size_t)16 * 1024 * 1024)
#define RUN_ID_DIGITS  16
#define NUMBER_CAP     32

void azure_commit_format_id(char out[AZURE_COMMIT_ID_SIZE], const char *run_id, uint32_t index)
{
    char raw[RUN_ID_DIGITS + 8 + 1];

    snprintf(raw, sizeof(raw), "%.16s%08" PRIx32, run_id, index);
    base64_encode(out, raw, sizeof(raw) - 1);
}

static uint64_t total_bytes(const struct azure_commit *commit)
{
    uint64_t total = 0;

    for (uint32_t i = 0; i < commit->block_count; i++) {
        total += commit->block_sizes[i];
    }
    return total;
}

/* <Uncommitted> and not <Latest>: never a block that an older blob of this name is made of. */
static bool format_block_list(const struct azure_commit *commit, struct text *out,
                              struct error *err)
{
    char id[AZURE_COMMIT_ID_SIZE];

    text_append(out, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<BlockList>");
    for (uint32_t i = 0; i < commit->block_count; i++) {
        azure_commit_format_id(id, commit->run_id, i);
        text_appendf(out, "<Uncommitted>%s</Uncommitted>", id);
    }
    text_append(out, "</BlockList>");
    return !out->failed ? true : error_set_memory(err);
}

static bool put_block_list(const struct azure_commit *commit, const struct text *list,
                           struct http_reply *reply, struct error *err)
{
    struct azure_request request = {
        .method = "PUT",
        .blob = commit->blob,
        .parameters = {{"comp", "blocklist"}},
        .headers = {{"Content-Type", "application/xml"},
                    {"If-None-Match", "*"},
                    {"x-ms-blob-content-type", backup_object_media_type(commit->blob)}},
        .metadata = commit->metadata,
        .encryption = AZURE_ENCRYPTION_WRITE,
        .body = list->data,
        .body_size = list->length,
        .answers = {400, 409, 412},
        .permit = commit->permit,
        .permit_context = commit->permit_context,
    };
    size_t count = 3;

    if (commit->session->options->tier != NULL) {
        request.headers[count++] =
            (struct http_header){"x-ms-access-tier", commit->session->options->tier};
    }
    if (commit->policy->mode != NULL) {
        request.headers[count++] =
            (struct http_header){"x-ms-immutability-policy-until-date", commit->policy->until};
        request.headers[count++] =
            (struct http_header){"x-ms-immutability-policy-mode", commit->policy->mode};
    }
    return azure_request_send(commit->session, &request, reply, err);
}

/* True when the name is taken by the object of this very run: then a Put Block List whose answer
 * was lost has succeeded. */
static bool is_ours(const struct azure_commit *commit, const struct object *object)
{
    return backup_object_has_run(object, commit->run_id) && object->bytes == total_bytes(commit);
}

/* The service refused, but perhaps because an earlier attempt, whose answer was lost, did it all:
 * it may say so by the name being taken, by the blob being immutable, or by the blocks being gone.
 */
static bool resolve_refusal(const struct azure_commit *commit, const struct http_reply *reply,
                            struct error *err)
{
    struct object object = OBJECT_INIT;
    char code[AZURE_REQUEST_CODE_SIZE];
    bool found = false;

    bool ok = azure_object_head(commit->session, commit->blob, commit->blob, &object, &found, err);
    if (ok && !(found && is_ours(commit, &object))) {
        azure_request_code(reply, code);
        bool exists = reply->status == 412 || strcmp(code, "BlobAlreadyExists") == 0;
        ok = found && exists ? error_set(err, ERROR_FAILED,
                                         "an object of this name exists "
                                         "already and was left as it is")
                             : azure_request_refuse(commit->session, reply, err);
    }
    object_clear(&object);
    return ok;
}

/* No answer, or none but "later", to any attempt: one of them may have succeeded. Asked in any
 * case, also when a stop or a lost lock is what ended the attempts. */
static bool resolve_silence(const struct azure_commit *commit, struct error *err)
{
    struct object object = OBJECT_INIT;
    struct error question = ERROR_INIT;
    bool found = false;
    bool ok = azure_object_head(commit->session, commit->blob, commit->blob, &object, &found,
                                &question) &&
              found && is_ours(commit, &object);

    if (ok) {
        error_clear(err);
    } else if (question.kind != ERROR_NONE) {
        error_hint(err, "whether it was published is not known, for asking failed too: %s",
                   question.text);
    }
    object_clear(&object);
    return ok;
}

static bool read_size(const struct xml_node *block, struct text *text, uint64_t *size)
{
    int64_t number = 0;
    bool ok = xml_child_text(block, "Size", text) &&
              text_parse_integer(text_string(text), 0, INT64_MAX, &number);

    *size = (uint64_t)number;
    return ok;
}

/* Services accept a block twice, out of order, or left out. Without `block_sizes` (another process
 * cut the blocks) their sum must do. */
static bool are_whole(const struct azure_commit *commit, uint64_t bytes,
                      const struct xml_node *root)
{
    const struct xml_node *list = xml_first(root, "CommittedBlocks");
    const struct xml_node *block = xml_first(list, "Block");
    const size_t *sizes = commit->block_sizes;
    struct text text = TEXT_INIT(1024);
    char id[AZURE_COMMIT_ID_SIZE];
    uint64_t sum = 0;
    uint32_t index = 0;
    bool ok = list != NULL;

    for (; ok && block != NULL; index++) {
        uint64_t size = 0;
        azure_commit_format_id(id, commit->run_id, index);
        ok = xml_child_text(block, "Name", &text) && strcmp(text_string(&text), id) == 0 &&
             read_size(block, &text, &size) &&
             (sizes == NULL || (index < commit->block_count && size == sizes[index]));
        sum += size;
        block = xml_next(block, "Block");
    }
    text_clear(&text);
    return ok && sum == bytes && (sizes == NULL || index == commit->block_count);
}

/* *whole tells a blob that is wrong from one that could not be examined. */
static bool examine(const struct azure_commit *commit, uint64_t bytes, bool *whole,
                    struct error *err)
{
    struct http_reply reply = HTTP_REPLY_INIT(XML_CAP);
    const struct azure_request request = {
        .method = "GET",
        .blob = commit->blob,
        .parameters = {{"comp", "blocklist"}, {"blocklisttype", "committed"}},
    };
    struct xml *xml = NULL;

    bool ok = azure_request_send(commit->session, &request, &reply, err);
    if (ok) {
        xml = xml_parse(reply.body.data, reply.body.length, err);
        ok = xml != NULL;
    }
    if (ok) {
        *whole = are_whole(commit, bytes, xml_root(xml));
    }
    xml_free(xml);
    http_reply_clear(&reply);
    return ok;
}

/* Only while it is still the object of this run. */
static void remove_refuted(const struct azure_commit *commit, struct error *err)
{
    struct object object = OBJECT_INIT;
    struct error problem = ERROR_INIT;
    enum store_removal result = STORE_CHANGED;
    bool found = false;
    bool ok =
        azure_object_head(commit->session, commit->blob, commit->blob, &object, &found, &problem);

    if (ok && found) {
        ok = backup_object_has_run(&object, commit->run_id) &&
             azure_object_remove(commit->session, commit->blob, object.etag, &result, &problem);
        ok = ok && (result == STORE_REMOVED || result == STORE_WAS_GONE);
    }
    if (ok) {
        error_hint(err, "the object was removed again");
    } else {
        error_hint(err, "the object could not be removed: do not restore from it%s%s",
                   problem.kind != ERROR_NONE ? ": " : "", problem.text);
    }
    object_clear(&object);
}

static bool publish(const struct azure_commit *commit, struct error *err)
{
    struct http_reply reply = HTTP_REPLY_INIT(REPLY_CAP);
    struct text list = TEXT_INIT(BLOCK_LIST_CAP);
    bool ok = format_block_list(commit, &list, err);

    if (ok) {
        ok = put_block_list(commit, &list, &reply, err);
        if (!ok) {
            ok = resolve_silence(commit, err);
        } else if (reply.status >= 400) {
            ok = resolve_refusal(commit, &reply, err);
        }
    }
    text_clear(&list);
    http_reply_clear(&reply);
    return ok;
}

/* False with the error, but true in *refuted, for a blob that is not what it must be. */
static bool prove(const struct azure_commit *commit, bool *refuted, struct error *err)
{
    bool whole = false;
    bool kept = true;

    if (!examine(commit, total_bytes(commit), &whole, err)) {
        return false;
    }
    if (!whole) {
        *refuted = true;
        return error_set(err, ERROR_FAILED,
                         "the service committed other blocks than the %" PRIu32 " that were sent",
                         commit->block_count);
    }
    if (commit->policy->mode != NULL &&
        !azure_policy_confirm(commit->session, commit->blob, commit->policy, &kept, err)) {
        return false;
    }
    *refuted = !kept;
    return kept ||
           error_set(err, ERROR_FAILED, "the service has not kept the immutability policy until %s",
                     commit->policy->until);
}

bool azure_commit_publish(const struct azure_commit *commit, struct error *err)
{
    bool refuted = false;

    /* After a stop nothing is published (A11); once it is being published, it is seen through. */
    if (!stop_check(err)) {
        return false;
    }
    if (!publish(commit, err)) {
        return error_prefix(err, "publishing %s", commit->blob);
    }
    if (prove(commit, &refuted, err)) {
        return true;
    }
    if (refuted) {
        remove_refuted(commit, err);
    }
    return error_prefix(err, "checking %s, which was just published", commit->blob);
}

bool azure_commit_confirm(const struct azure_commit *commit, uint64_t bytes, bool *whole,
                          struct error *err)
{
    return examine(commit, bytes, whole, err) ? true
                                              : error_prefix(err, "checking %s", commit->blob);
}
