#include "store/store_url.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define OPTION_REQUIRED "required"
#define URL_CAP         8192
#define FOLDER_CAP      512

static bool refuse(const char *string, const char *problem, struct error *err)
{
    /* What follows a question mark may be a signature. */
    return error_set(err, ERROR_CONFIG, "store '%.*s': %s", (int)strcspn(string, "?"), string,
                     problem);
}

/* Only such names are repeated in an error. */
static bool is_option_name(const char *name)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");

    return length > 0 && length <= 32 && name[length] == '\0';
}

static bool add_option(struct store_url *url, const char *string, char *option, struct error *err)
{
    char *value = strchr(option, '=');

    if (value == NULL) {
        return refuse(string, "an option is not of the form NAME=VALUE", err);
    }
    *value++ = '\0';
    if (!is_option_name(option)) {
        return refuse(string, "an option's name is not lower-case letters and digits", err);
    }
    if (!text_decode_percent(value, strlen(value) + 1, value)) {
        return refuse(string, "a '%' in an option is not followed by two hex digits", err);
    }
    if (store_url_option(url, option) != NULL) {
        return error_set(err, ERROR_CONFIG, "store '%.*s': the option '%s' is given twice",
                         (int)strcspn(string, "?"), string, option);
    }
    if (url->option_count == STORE_URL_MOST_OPTIONS) {
        return refuse(string, "it has too many options", err);
    }
    url->options[url->option_count].name = option;
    url->options[url->option_count++].value = value;
    return true;
}

static bool set_required(struct store_url *url, const char *string, struct error *err)
{
    const char *value = store_url_option(url, OPTION_REQUIRED);

    url->required = value == NULL || strcmp(value, "true") == 0;
    return url->required || strcmp(value, "false") == 0 ||
           refuse(string, "the option 'required' must be true or false", err);
}

bool store_url_parse(const char *string, struct store_url *out, struct error *err)
{
    const char *separator = strstr(string, "://");
    char *save = NULL;

    *out = (struct store_url){.required = true};
    if (separator == NULL || separator == string) {
        return refuse(string, "it is not of the form SCHEME://PLACE", err);
    }
    if (strlen(string) > URL_CAP) {
        return error_set(err, ERROR_CONFIG, "a store's URL is longer than %d bytes", URL_CAP);
    }
    out->parts = strdup(string);
    if (out->parts == NULL) {
        return error_set_memory(err);
    }
    char *place = out->parts + (separator - string);
    *place = '\0';
    place += strlen("://");
    out->scheme = out->parts;
    out->place = place;
    if (strcspn(place, "@:") < strcspn(place, "/?")) {
        error_set(err, ERROR_CONFIG,
                  "a store's URL has a user or a password in it (it is not "
                  "shown)");
        return error_hint(err, "credentials are settings of their own: see rythm-backup --help");
    }
    char *options = place + strcspn(place, "?");
    if (*options == '?') {
        *options++ = '\0';
    }
    for (char *option = strtok_r(options, "&", &save); option != NULL;
         option = strtok_r(NULL, "&", &save)) {
        if (!add_option(out, string, option, err)) {
            return false;
        }
    }
    return set_required(out, string, err);
}

void store_url_clear(struct store_url *url)
{
    free(url->parts);
    *url = (struct store_url){.parts = NULL};
}

const char *store_url_option(const struct store_url *url, const char *name)
{
    for (size_t i = 0; i < url->option_count; i++) {
        if (strcmp(url->options[i].name, name) == 0) {
            return url->options[i].value;
        }
    }
    return NULL;
}

/* Each of `one` but `required` is one of `other`. */
static bool has_options_of(const struct store_url *other, const struct store_url *one)
{
    for (size_t i = 0; i < one->option_count; i++) {
        const char *value = store_url_option(other, one->options[i].name);
        if (strcmp(one->options[i].name, OPTION_REQUIRED) != 0 &&
            (value == NULL || strcmp(value, one->options[i].value) != 0)) {
            return false;
        }
    }
    return true;
}

bool store_url_same_options(const char *one, const char *other, bool *same, struct error *err)
{
    struct store_url first = {.parts = NULL};
    struct store_url second = {.parts = NULL};
    bool ok = store_url_parse(one, &first, err) && store_url_parse(other, &second, err);

    *same = ok && has_options_of(&first, &second) && has_options_of(&second, &first);
    store_url_clear(&first);
    store_url_clear(&second);
    return ok;
}

static bool is_known(const char *name, const char *const *known)
{
    for (; known != NULL && *known != NULL; known++) {
        if (strcmp(*known, name) == 0) {
            return true;
        }
    }
    return strcmp(name, OPTION_REQUIRED) == 0;
}

bool store_url_check_options(const struct store_url *url, const char *const *known,
                             struct error *err)
{
    struct text names = TEXT_INIT(1024);

    for (size_t i = 0; i < url->option_count; i++) {
        if (is_known(url->options[i].name, known)) {
            continue;
        }
        text_append(&names, OPTION_REQUIRED);
        for (; known != NULL && *known != NULL; known++) {
            text_appendf(&names, ", %s", *known);
        }
        error_set(err, ERROR_CONFIG, "store '%s://%s' has no option '%s'", url->scheme, url->place,
                  url->options[i].name);
        error_hint(err, "its options: %s", text_string(&names));
        text_clear(&names);
        return false;
    }
    return true;
}

char *store_url_folder(const char *path, struct error *err)
{
    struct text folder = TEXT_INIT(FOLDER_CAP);

    path += *path == '/';
    text_append(&folder, path);
    if (*path != '\0' && path[strlen(path) - 1] != '/') {
        text_append(&folder, "/");
    }
    char *copy = text_copy(text_string(&folder));
    if (folder.failed || copy == NULL) {
        error_set(err, ERROR_CONFIG, "the prefix is longer than %d bytes", FOLDER_CAP);
        goto failed;
    }
    for (const char *part = copy; *part != '\0'; part += strcspn(part, "/") + 1) {
        size_t length = strcspn(part, "/");
        bool dots = strspn(part, ".") == length;
        if (dots || strpbrk(part, "\\?#%") != NULL || !text_is_printable_ascii(part)) {
            error_set(err, ERROR_CONFIG,
                      "the prefix has an empty part, one of dots only, or one of the characters "
                      "\\ ? # %%, or one that is not printable ASCII");
            goto failed;
        }
    }
    text_clear(&folder);
    return copy;

failed:
    text_clear(&folder);
    free(copy);
    return NULL;
}
