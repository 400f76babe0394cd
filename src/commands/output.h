/*
 * Results, on standard output: tables for people, JSON for programs. Only commands print.
 */
#ifndef COMMANDS_OUTPUT_H
#define COMMANDS_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define OUTPUT_MOST_COLUMNS 10

/* A table whose columns are as wide as their widest cell. Cells are copied, one line each, cleaned
 * of control bytes; a failed copy shows in output_table_print(). */
struct output_table {
    size_t columns;
    char **cells;
    size_t count;
    size_t capacity;
    bool failed;
};
#define OUTPUT_TABLE_INIT(number)                                                                  \
    {                                                                                              \
        .columns = (number)                                                                        \
    }
void output_table_add(struct output_table *table, const char *const cells[]);
/* Prints and clears it. */
bool output_table_print(struct output_table *table, struct error *err);

/* Prints one document, and releases it. NULL (no memory while it was built) is an error. */
bool output_json(json_t *document, struct error *err);
/* A JSON string of an instant, or null. */
json_t *output_json_instant(bool known, int64_t instant_ms);
/* A JSON string of text from outside (invalid UTF-8 replaced), or null for NULL and "". */
json_t *output_json_text(const char *text);
/* A JSON array of such strings, or null for NULL; `list` ends with NULL. */
json_t *output_json_texts(char *const *list);
/* A JSON number, or null. */
json_t *output_json_count(bool known, uint64_t count);

/* The end of all output: what could not be written (a closed or full standard output) is an
 * error. */
bool output_finish(struct error *err);

#endif
