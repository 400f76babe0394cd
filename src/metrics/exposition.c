#include "metrics/exposition.h"

#include <inttypes.h>

static void append_label(struct text *out, const char *name, const char *value)
{
    text_append(out, name);
    text_append(out, "=\"");
    for (const char *c = value; *c != '\0'; c++) {
        if (*c == '\n') {
            text_append(out, "\\n");
            continue;
        }
        if (*c == '\\' || *c == '"') {
            text_append(out, "\\");
        }
        text_append_bytes(out, c, 1);
    }
    text_append(out, "\"");
}

static void append_sample(struct text *out, const struct metric *metric, const char *ledger,
                          const struct metrics_schedule *schedule, int64_t value)
{
    text_appendf(out, METRIC_PREFIX "_%s%s{", metric->name, metric_suffix(metric->unit));
    append_label(out, "database", schedule->database);
    append_label(out, ",ledger", ledger);
    append_label(out, ",schedule", schedule->name);
    append_label(out, ",schedule_id", schedule->id);
    text_appendf(out, "} %" PRId64 "\n", value);
}

void exposition_append(struct text *out, const struct metrics_report *report)
{
    for (int id = 0; id < METRIC_COUNT; id++) {
        const struct metric *metric = &metric_table[id];
        bool headed = false;
        for (size_t i = 0; i < report->schedule_count; i++) {
            const struct metrics_schedule *schedule = &report->schedules[i];
            if (!schedule->values[id].known) {
                continue;
            }
            if (!headed) {
                const char *suffix = metric_suffix(metric->unit);
                text_appendf(out, "# HELP " METRIC_PREFIX "_%s%s %s\n", metric->name, suffix,
                             metric->help);
                text_appendf(out, "# TYPE " METRIC_PREFIX "_%s%s gauge\n", metric->name, suffix);
                headed = true;
            }
            append_sample(out, metric, report->ledger, schedule, schedule->values[id].value);
        }
    }
}
