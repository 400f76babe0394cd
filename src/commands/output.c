#include "commands/output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

static char *clean_cell(const char *cell)
{
    char *copy = text_copy(cell != NULL ? cell : "");

    if (copy != NULL) {
        text_make_one_line(copy);
        text_cut_utf8(copy);
    }
    return copy;
}

void output_table_add(struct output_table *table, const char *const cells[])
{
    if (table->count + table->columns > table->capacity) {
        size_t capacity = table->capacity > 0 ? table->capacity * 2 : 64 * table->columns;
        char **grown = reallocarray(table->cells, capacity, sizeof(*grown));
        if (grown == NULL) {
            table->failed = true;
            return;
        }
        table->cells = grown;
        table->capacity = capacity;
    }
    for (size_t i = 0; i < table->columns; i++) {
        char *cell = clean_cell(cells[i]);
        table->failed = table->failed || cell == NULL;
        table->cells[table->count++] = cell;
    }
}

/* Characters, not bytes: UTF-8 continuation bytes take no room. */
static size_t width_of(const char *cell)
{
    size_t width = 0;

    for (const char *c = cell; *c != '\0'; c++) {
        width += ((unsigned char)*c & 0xc0) != 0x80;
    }
    return width;
}

static void print_row(const struct output_table *table, size_t row, const size_t widths[])
{
    for (size_t i = 0; i < table->columns; i++) {
        const char *cell = table->cells[row * table->columns + i];
        bool last = i + 1 == table->columns;
        printf("%s%*s", cell, last ? 0 : (int)(widths[i] - width_of(cell) + 2), "");
    }
    putchar('\n');
}

bool output_table_print(struct output_table *table, struct error *err)
{
    size_t widths[OUTPUT_MOST_COLUMNS] = {0};

    if (!table->failed) {
        for (size_t i = 0; i < table->count; i++) {
            size_t width = width_of(table->cells[i]);
            if (width > widths[i % table->columns]) {
                widths[i % table->columns] = width;
            }
        }
        for (size_t row = 0; row < table->count / table->columns; row++) {
            print_row(table, row, widths);
        }
    }
    for (size_t i = 0; i < table->count; i++) {
        free(table->cells[i]);
    }
    free(table->cells);
    bool ok = !table->failed;
    *table = (struct output_table)OUTPUT_TABLE_INIT(table->columns);
    return ok ? true : error_set_memory(err);
}

bool output_json(json_t *document, struct error *err)
{
    if (document == NULL) {
        return error_set_memory(err);
    }
    bool ok = json_dumpf(document, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY) == 0;
    putchar('\n');
    json_decref(document);
    /* A stream that cannot be written is output_finish()'s to report. */
    return ok || ferror(stdout) != 0 ? true : error_set_memory(err);
}

json_t *output_json_instant(bool known, int64_t instant_ms)
{
    char text[CLOCK_ISO_SIZE];

    if (!known) {
        return json_null();
    }
    clock_format_iso(text, instant_ms);
    return json_string(text);
}

json_t *output_json_count(bool known, uint64_t count)
{
    return known ? json_integer((json_int_t)count) : json_null();
}

json_t *output_json_text(const char *text)
{
    if (text == NULL || *text == '\0') {
        return json_null();
    }
    char *copy = text_copy(text);
    if (copy == NULL) {
        return NULL;
    }
    text_cut_utf8(copy);
    json_t *string = json_string(copy);
    free(copy);
    return string;
}

json_t *output_json_texts(char *const *list)
{
    if (list == NULL) {
        return json_null();
    }
    json_t *array = json_array();
    for (size_t i = 0; list[i] != NULL; i++) {
        if (json_array_append_new(array, output_json_text(list[i])) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

bool output_finish(struct error *err)
{
    /* An earlier write that failed has left a mark, but its errno is gone. */
    if (ferror(stdout) != 0) {
        return error_set(err, ERROR_FAILED,
                         "writing to standard output failed; is the disk full, "
                         "or its reader gone?");
    }
    if (fflush(stdout) != 0) {
        return error_set_system(err, errno, "writing to standard output");
    }
    return true;
}
