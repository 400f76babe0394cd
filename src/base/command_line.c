#include "base/command_line.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static bool refuse(const char *problem, struct error *err)
{
    error_set(err, ERROR_CONFIG, "%s", problem);
    return error_hint(err, "write a program's absolute path and its arguments, with quotes around "
                           "blanks; no shell reads it");
}

/* One word, unquoted, to `out`; returns what follows it, or NULL with the error. */
static const char *take_word(const char *line, char *out, struct error *err)
{
    char quote = '\0';

    for (; *line != '\0' && (quote != '\0' || strchr(" \t", *line) == NULL); line++) {
        if (*line == quote) {
            quote = '\0';
        } else if (quote == '\0' && (*line == '\'' || *line == '"')) {
            quote = *line;
        } else if (*line == '\\' && quote != '\'') {
            if (*++line == '\0') {
                refuse("a backslash at its end keeps nothing", err);
                return NULL;
            }
            *out++ = *line;
        } else {
            *out++ = *line;
        }
    }
    *out = '\0';
    if (quote != '\0') {
        refuse("a quote is not closed", err);
        return NULL;
    }
    return line;
}

bool command_line_split(const char *line, char ***argv, struct error *err)
{
    size_t size = strlen(line) + 1;
    /* A word has a character and a blank, at least. */
    char **words = calloc(size / 2 + 2, sizeof(*words));
    char *word = malloc(size);
    size_t count = 0;
    bool ok = (words != NULL && word != NULL) || error_set_memory(err);

    while (ok && *(line += strspn(line, " \t")) != '\0') {
        line = take_word(line, word, err);
        ok = line != NULL;
        if (ok) {
            words[count] = text_copy(word);
            ok = words[count++] != NULL || error_set_memory(err);
        }
    }
    free(word);
    if (ok && count == 0) {
        ok = refuse("it names no program", err);
    }
    if (ok && words[0][0] != '/') {
        ok = refuse("its program is no absolute path", err);
    }
    if (!ok) {
        text_list_free(words);
        return false;
    }
    *argv = words;
    return true;
}
