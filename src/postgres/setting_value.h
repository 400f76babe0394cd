/*
 * SQL that writes a stored setting (pg_db_role_setting.setconfig) as the value of a SET clause.
 */
#ifndef POSTGRES_SETTING_VALUE_H
#define POSTGRES_SETTING_VALUE_H

/* Of c (name, value), which is one of them. Some settings are lists of names, which are quoted one
 * by one (pg_dump, variable_is_guc_list_quote() and makeAlterConfigCommand()). */
#define SETTING_VALUE_OF_C                                                                         \
    "CASE WHEN lower(c.name) IN ('local_preload_libraries', 'search_path',"                        \
    " 'session_preload_libraries', 'shared_preload_libraries', 'temp_tablespaces',"                \
    " 'unix_socket_directories') THEN coalesce((SELECT string_agg(quote_literal("                  \
    "CASE WHEN m.part[1] LIKE '\"%' THEN replace(substr(m.part[1], 2, length(m.part[1]) - 2),"     \
    " '\"\"', '\"') ELSE m.part[1] END), ', ' ORDER BY m.number) FROM regexp_matches(c.value,"     \
    " '(\"(?:[^\"]|\"\")*\"|[^,\\s\"]+)', 'g') WITH ORDINALITY AS m (part, number)), '''''')"      \
    " ELSE quote_literal(c.value) END"

#endif
