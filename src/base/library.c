#include "base/library.h"

#include <dlfcn.h>
#include <string.h>

static const char *load_reason(void)
{
    const char *reason = dlerror();

    return reason != NULL ? reason : "unknown reason";
}

bool library_load(const char *soname, const struct library_symbol *symbols, size_t count,
                  struct error *err)
{
    void *handle = dlopen(soname, RTLD_NOW | RTLD_LOCAL);

    if (handle == NULL) {
        error_set(err, ERROR_FAILED, "loading the shared library %s: %s", soname, load_reason());
        return error_hint(err, "install the package that holds it");
    }
    for (size_t i = 0; i < count; i++) {
        if (dlsym(handle, symbols[i].name) == NULL) {
            error_set(err, ERROR_FAILED, "loading the shared library %s: %s", soname,
                      load_reason());
            dlclose(handle);
            return error_hint(err, "it is not the version this program was built for");
        }
    }
    for (size_t i = 0; i < count; i++) {
        /* ISO C has no cast from an object pointer to a function pointer; POSIX (dlsym) makes
         * their representations the same. */
        void *address = dlsym(handle, symbols[i].name);
        memcpy(symbols[i].slot, &address, sizeof(address));
    }
    return true;
}
