#include "base/database_locale.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static bool is_libc(const struct database_locale *locale)
{
    return strcmp(locale->provider, DATABASE_LOCALE_LIBC) == 0;
}

bool database_locale_is_known(const struct database_locale *locale)
{
    return locale->provider[0] != '\0' && locale->collate[0] != '\0' && locale->ctype[0] != '\0' &&
           (is_libc(locale) || locale->locale[0] != '\0');
}

/* language_TERRITORY.codeset@modifier: glibc looks a codeset up in lower case and without hyphens.
 */
static bool is_same_name(const char *one, const char *other)
{
    bool in_codeset = false;

    for (;;) {
        while (in_codeset && *one == '-') {
            one++;
        }
        while (in_codeset && *other == '-') {
            other++;
        }
        if (*one != *other &&
            !(in_codeset && tolower((unsigned char)*one) == tolower((unsigned char)*other))) {
            return false;
        }
        if (*one == '\0') {
            return true;
        }
        in_codeset = (in_codeset || *one == '.') && *one != '@';
        one++;
        other++;
    }
}

bool database_locale_equal(const struct database_locale *one, const struct database_locale *other)
{
    return strcmp(one->provider, other->provider) == 0 &&
           is_same_name(one->collate, other->collate) && is_same_name(one->ctype, other->ctype) &&
           strcmp(one->locale, other->locale) == 0 && strcmp(one->icu_rules, other->icu_rules) == 0;
}

void database_locale_format(char out[DATABASE_LOCALE_TEXT_SIZE],
                            const struct database_locale *locale)
{
    if (!is_libc(locale)) {
        snprintf(out, DATABASE_LOCALE_TEXT_SIZE, "%s %s%s", locale->provider, locale->locale,
                 locale->icu_rules[0] != '\0' ? " with rules of its own" : "");
    } else if (is_same_name(locale->collate, locale->ctype)) {
        snprintf(out, DATABASE_LOCALE_TEXT_SIZE, "%s", locale->collate);
    } else {
        snprintf(out, DATABASE_LOCALE_TEXT_SIZE, "%s with ctype %s", locale->collate,
                 locale->ctype);
    }
}
