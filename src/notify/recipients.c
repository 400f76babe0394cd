#include "notify/recipients.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"

static bool is_utf8(const char *text)
{
    char copy[RECIPIENTS_LONGEST_ADDRESS + 1];

    memcpy(copy, text, strlen(text) + 1);
    text_cut_utf8(copy);
    return strcmp(copy, text) == 0;
}

bool recipients_is_address(const char *text)
{
    const char *at = strchr(text, '@');

    if (at == NULL || at == text || at[1] == '\0' || strchr(at + 1, '@') != NULL ||
        strlen(text) > RECIPIENTS_LONGEST_ADDRESS) {
        return false;
    }
    for (const char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c <= ' ' || *c == 0x7f || strchr(",;:<>()[]\"\\", *c) != NULL) {
            return false;
        }
    }
    return is_utf8(text);
}

static bool add(struct addresses *out, const char *address, const char *source, struct error *err)
{
    if (recipients_is_address(address)) {
        return admin_addresses_add(out, address, err);
    }
    log_warning("bad_recipient", "%s gives '%.*s', which is not an e-mail address: passed over",
                source, RECIPIENTS_LONGEST_ADDRESS, address);
    return true;
}

static bool read_setting(const char *list, struct addresses *out, struct error *err)
{
    char *copy = text_copy(list);
    char *rest = copy;
    bool ok = copy != NULL ? true : error_set_memory(err);

    while (ok && rest != NULL) {
        const char *address = text_trim(strsep(&rest, ","));
        if (*address != '\0') {
            ok = add(out, address, settings_table[SETTING_NOTIFY_TO].name, err);
        }
    }
    free(copy);
    return ok;
}

static bool read_query(struct session *session, const char *query, struct addresses *out,
                       const char **why_none, struct error *err)
{
    struct addresses admins;
    bool missing;

    if (!admin_addresses_read(session, query, &admins, &missing, err)) {
        return false;
    }
    *why_none = missing ? "RYTHM_BACKUP_ADMIN_QUERY asks a table that does not exist; name the "
                          "recipients in RYTHM_BACKUP_NOTIFY_TO"
                        : "RYTHM_BACKUP_ADMIN_QUERY gives no address; appoint a system_admin, or "
                          "name the recipients in RYTHM_BACKUP_NOTIFY_TO";
    bool ok = true;
    for (size_t i = 0; ok && i < admins.count; i++) {
        ok = add(out, admins.items[i], settings_table[SETTING_ADMIN_QUERY].name, err);
    }
    admin_addresses_clear(&admins);
    return ok;
}

bool recipients_read(struct session *session, const struct settings *settings,
                     struct addresses *out, const char **why_none, struct error *err)
{
    const char *list = settings_get(settings, SETTING_NOTIFY_TO);

    *out = (struct addresses){.items = NULL};
    *why_none = "RYTHM_BACKUP_NOTIFY_TO holds no e-mail address";
    bool ok = list != NULL ? read_setting(list, out, err)
                           : read_query(session, settings_get(settings, SETTING_ADMIN_QUERY), out,
                                        why_none, err);
    if (!ok) {
        admin_addresses_clear(out);
    }
    return ok;
}
