#include "commands/notify_options.h"

#include <stdio.h>
#include <string.h>

#include "notify/channel.h"

#define WORD_SIZE 32

static bool is_channel(const char *word)
{
    return channel_find(word) != NULL;
}

static bool is_event(const char *word)
{
    return strcmp(word, "success") == 0 || strcmp(word, "failure") == 0 ||
           strcmp(word, "recovery") == 0;
}

static bool parse_words(const char *list, bool (*is_known)(const char *word), struct text *array)
{
    char word[WORD_SIZE];

    text_append(array, "{");
    for (bool none = strcmp(list, "none") == 0; !none; list++) {
        size_t length = strcspn(list, ",");
        snprintf(word, sizeof(word), "%.*s", (int)length, list);
        if (length >= sizeof(word) || !is_known(word)) {
            return false;
        }
        text_appendf(array, "%s%s", array->length > 1 ? "," : "", word);
        list += length;
        if (*list == '\0') {
            break;
        }
    }
    text_append(array, "}");
    return true;
}

static bool refuse_channels(const char *list, struct error *err)
{
    struct text known = TEXT_INIT(256);

    for (size_t i = 0; channel_table[i] != NULL; i++) {
        text_appendf(&known, "%s, ", channel_table[i]->name);
    }
    error_set(err, ERROR_USAGE,
              "'%s' is no list of channels: write some of %sseparated by commas, or none", list,
              text_string(&known));
    text_clear(&known);
    return false;
}

bool notify_options_parse_channels(const char *list, struct text *array, struct error *err)
{
    if (!parse_words(list, is_channel, array)) {
        return refuse_channels(list, err);
    }
    return !array->failed || error_set_memory(err);
}

bool notify_options_parse_events(const char *list, struct text *array, struct error *err)
{
    if (!parse_words(list, is_event, array)) {
        return error_set(err, ERROR_USAGE,
                         "'%s' does not say when to notify: write some of success, failure, "
                         "recovery, separated by commas, or none",
                         list);
    }
    return !array->failed || error_set_memory(err);
}
