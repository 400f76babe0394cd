/*
 * The URL of a store: SCHEME://PLACE[?NAME=VALUE[&NAME=VALUE]...]. What PLACE means, and which
 * options there are beside `required`, is each kind's business.
 *
 * Names and values of options are percent-encoded (RFC 3986, section 2.1); '+' is a plus sign.
 */
#ifndef STORE_STORE_URL_H
#define STORE_STORE_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define STORE_URL_MOST_OPTIONS 16

struct store_url {
    char *parts; /* what the others point into */
    const char *scheme;
    const char *place; /* as written: still percent-encoded */
    struct {
        const char *name;
        const char *value; /* decoded */
    } options[STORE_URL_MOST_OPTIONS];
    size_t option_count;
    bool required; /* ?required=false: the backup is good without this store's copy */
};

/* The caller clears *out, also after a failure. ERROR_CONFIG for what has not this form; the error
 * names no value, which may be a credential. */
bool store_url_parse(const char *string, struct store_url *out, struct error *err);
void store_url_clear(struct store_url *url);

/* The value of this option; NULL when the URL has none. Belongs to the URL. */
const char *store_url_option(const struct store_url *url, const char *name);
/* *same: beside `required` both URLs have the same options, in whatever order. */
bool store_url_same_options(const char *one, const char *other, bool *same, struct error *err);
/* Refuses every option but `required` and those of `known`, a list that ends with NULL and may be
 * NULL. */
bool store_url_check_options(const struct store_url *url, const char *const *known,
                             struct error *err);

/* The folder of a service's container that a URL's `path` names: "" for "" and "/", else
 * "some/folder/" for "/some/folder" and "/some/folder/". The caller frees; NULL with the reason. */
char *store_url_folder(const char *path, struct error *err);

#endif
