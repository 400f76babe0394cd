#include "restore/needs.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "postgres/target_facts.h"
#include "restore/survey.h"

/* In an error's text. */
#define LISTED_CAP ((size_t)1024)

/* "a, b, c ..." */
static void list(struct text *out, char *const *names)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        if (out->length + 128 > LISTED_CAP) {
            text_append(out, " ...");
            return;
        }
        text_appendf(out, "%s%.100s", i > 0 ? ", " : "", names[i]);
    }
}

static bool refuse(char *const *missing, const char *what, const char *hint, struct error *err)
{
    struct text names = TEXT_INIT(LISTED_CAP);

    list(&names, missing);
    error_set(err, ERROR_FAILED, "the server does not have the %s %s", what, text_string(&names));
    text_clear(&names);
    return error_hint(err, "%s", hint);
}

static bool check_names(const struct needs *needs, enum target_need need,
                        const struct script_names *names, struct error *err)
{
    static const struct {
        const char *what;
        const char *hint;
    } words[] = {
        [TARGET_ROLE] = {"role(s)", "--create-roles makes them, NOLOGIN; --no-owner and "
                                    "--no-privileges do without them"},
        [TARGET_EXTENSION] = {"extension(s)", "install their packages on the server"},
        [TARGET_TABLESPACE] = {"tablespace(s)", "make them with CREATE TABLESPACE"},
    };
    char **missing = NULL;

    if (names->count == 0) {
        return true;
    }
    char **ended = calloc(names->count + 1, sizeof(*ended));
    if (ended == NULL) {
        return error_set_memory(err);
    }
    memcpy(ended, names->items, names->count * sizeof(*ended));
    bool found = target_facts_find_missing(needs->session, need, ended, &missing, err);
    free(ended);
    if (!found) {
        return false;
    }
    bool ok = missing[0] == NULL;
    if (!ok) {
        ok = need == TARGET_ROLE && needs->create_roles
                 ? target_facts_create_roles(needs->session, missing, err)
                 : refuse(missing, words[need].what, words[need].hint, err);
    }
    text_list_free(missing);
    return ok;
}

bool needs_check(const struct needs *needs, struct error *err)
{
    const char *version = needs->source->backup->facts.server_version;
    struct script_facts facts = {.roles = {NULL, 0}};

    if (target_facts_is_older(needs->session, version)) {
        error_set(err, ERROR_FAILED, "the backup is of PostgreSQL %s, and the server is older",
                  version);
        return error_hint(err, "restore it to that version or a newer one");
    }
    bool ok = survey_read(needs->source, needs->rules, &facts, err) &&
              check_names(needs, TARGET_EXTENSION, &facts.extensions, err) &&
              check_names(needs, TARGET_TABLESPACE, &facts.tablespaces, err) &&
              check_names(needs, TARGET_ROLE, &facts.roles, err);
    script_facts_clear(&facts);
    return ok;
}
