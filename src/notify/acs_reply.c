#include "notify/acs_reply.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/json_memory.h"
#include "base/redact.h"
#include "base/text.h"

/* The object in the body; NULL, with the reason, when there is none. For json_decref(). */
static json_t *load_object(const struct http_reply *reply, struct error *err)
{
    json_error_t problem;
    unsigned refusals = json_memory_refusals();
    json_t *document =
        json_loadb(text_string(&reply->body), reply->body.length, JSON_REJECT_DUPLICATES, &problem);

    if (json_memory_refusals() != refusals) {
        json_decref(document);
        document = NULL;
        error_set_memory(err);
    } else if (document == NULL) {
        error_set(err, ERROR_FAILED, "the service's answer is not JSON: %s", problem.text);
    } else if (!json_is_object(document)) {
        error_set(err, ERROR_FAILED, "the service's answer is not a JSON object");
        json_decref(document);
        document = NULL;
    }
    return document;
}

/* The member as text, "" when it is missing or of another type. Borrowed. */
static const char *member(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? text : "";
}

/* "code: message" of the member "error". */
static void format_problem(const json_t *object, char *out, size_t size)
{
    const json_t *problem = json_object_get(object, "error");
    const char *code = member(problem, "code");
    const char *message = member(problem, "message");

    int wanted =
        snprintf(out, size, "%s%s%s", code, *code != '\0' && *message != '\0' ? ": " : "", message);
    if (wanted >= (int)size) {
        redact_cut(out);
    }
    text_cut_utf8(out);
}

static bool parse_status(const char *name, enum acs_status *out)
{
    static const struct {
        const char *name;
        enum acs_status status;
    } statuses[] = {
        {"NotStarted", ACS_STATUS_RUNNING},  {"Running", ACS_STATUS_RUNNING},
        {"Succeeded", ACS_STATUS_SUCCEEDED}, {"Failed", ACS_STATUS_FAILED},
        {"Canceled", ACS_STATUS_FAILED},
    };

    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        if (strcmp(statuses[i].name, name) == 0) {
            *out = statuses[i].status;
            return true;
        }
    }
    return false;
}

bool acs_reply_is_id(const char *text)
{
    size_t length = strlen(text);

    return length > 0 && length < ACS_ID_SIZE &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-") ==
               length;
}

bool acs_reply_parse_operation(const struct http_reply *reply, struct acs_operation *out,
                               struct error *err)
{
    struct acs_operation operation = {.id = ""};
    json_t *document = load_object(reply, err);

    if (document == NULL) {
        return false;
    }
    const char *status = member(document, "status");
    const char *id = member(document, "id");
    char shown[41];
    bool ok = parse_status(status, &operation.status);
    if (ok && acs_reply_is_id(id)) {
        snprintf(operation.id, sizeof(operation.id), "%s", id);
    }
    if (ok && operation.status == ACS_STATUS_FAILED) {
        char problem[sizeof(operation.problem) - 32];
        format_problem(document, problem, sizeof(problem));
        snprintf(operation.problem, sizeof(operation.problem), "%s%s%s", status,
                 *problem != '\0' ? ", " : "", problem);
    }
    if (ok) {
        *out = operation;
    } else {
        redact_copy(shown, sizeof(shown), status, strlen(status));
        error_set(err, ERROR_FAILED, "the service's answer has no status that is known: '%s'",
                  shown);
    }
    json_decref(document);
    return ok;
}

bool acs_reply_refused(const struct http_reply *reply, struct error *err)
{
    struct error ignored = ERROR_INIT;
    char problem[512] = "";
    json_t *document = load_object(reply, &ignored);

    if (document != NULL) {
        format_problem(document, problem, sizeof(problem));
        json_decref(document);
    }
    if (*problem == '\0') {
        http_reply_header(reply, "x-ms-error-code", problem, sizeof(problem));
    }
    return error_set(err, ERROR_FAILED, "the service answers %d%s%s", reply->status,
                     *problem != '\0' ? " " : "", problem);
}
