#include "restore/backup_source.h"

bool backup_source_open(struct store *store, const struct backup_object *backup,
                        struct backup_source *out, struct error *err)
{
    const char *name = backup->object->name;

    *out = (struct backup_source){.store = store, .backup = backup};
    if (!compression_of_name(name, &out->method)) {
        return error_set(err, ERROR_FAILED, "%s: nothing is known of this kind of file", name);
    }
    if (!manifest_read(store, backup, &out->manifest, &out->has_manifest, err)) {
        return false;
    }
    out->manifest_is_lost = !out->has_manifest && backup->facts.manifest_sha256[0] != '\0';
    return true;
}

void backup_source_clear(struct backup_source *source)
{
    if (source->has_manifest) {
        manifest_copy_clear(&source->manifest);
    }
    source->has_manifest = false;
}

const char *backup_source_encoding(const struct backup_source *source)
{
    return source->has_manifest ? source->manifest.encoding : NULL;
}

const struct database_locale *backup_source_locale(const struct backup_source *source)
{
    return source->has_manifest && database_locale_is_known(&source->manifest.locale)
               ? &source->manifest.locale
               : NULL;
}
