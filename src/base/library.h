/*
 * Shared libraries that a quiet tick does not need, loaded at the moment of first use.
 *
 * libcurl and libxml2 bring some forty further libraries with them, whose loading alone costs more
 * than everything else `check` does in a minute when nothing is due (DESIGN, "A quiet tick"). So
 * the one file that uses each (http/curl_library.c, store/xml.c) asks for its functions here. They
 * remain hard dependencies: a library that cannot be loaded is an error that names it.
 */
#ifndef BASE_LIBRARY_H
#define BASE_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Where to put the address of which function. */
struct library_symbol {
    const char *name;
    void *slot; /* a pointer to a function pointer */
};

/* Loads `soname` and fills every slot, or fills none and fails. The library stays loaded. */
bool library_load(const char *soname, const struct library_symbol *symbols, size_t count,
                  struct error *err);

#endif
