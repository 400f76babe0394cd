/*
 * The locale of a database: how its text is sorted and compared, and what is a letter. As
 * pg_database has it (manual, "pg_database") and a manifest tells it.
 */
#ifndef BASE_DATABASE_LOCALE_H
#define BASE_DATABASE_LOCALE_H

#include <stdbool.h>

#define DATABASE_LOCALE_LIBC "libc"

/* All empty: not known. */
struct database_locale {
    char provider[16];    /* "libc", "icu", "builtin" */
    char collate[128];    /* of libc, which every database has: "de_DE.UTF-8" */
    char ctype[128];      /* the same */
    char locale[128];     /* of another provider: "de-AT"; of libc "" */
    char icu_rules[4096]; /* that the database adds to it; "": none */
};

/* False also for half of one, of which no database can be made. */
bool database_locale_is_known(const struct database_locale *locale);
/* Also when the codeset in libc's names is only written otherwise ("C.utf8", "C.UTF-8"). */
bool database_locale_equal(const struct database_locale *one, const struct database_locale *other);
/* For messages: "C.UTF-8", "C with ctype de_DE.UTF-8", "icu de-AT". */
#define DATABASE_LOCALE_TEXT_SIZE 320
void database_locale_format(char out[DATABASE_LOCALE_TEXT_SIZE],
                            const struct database_locale *locale);

#endif
