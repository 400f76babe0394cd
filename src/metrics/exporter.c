#include "metrics/exporter.h"

#include "base/log.h"
#include "metrics/insights.h"
#include "metrics/otlp.h"
#include "metrics/pushgateway.h"
#include "metrics/textfile.h"

static const struct exporter *const exporter_table[] = {
    &exporter_textfile,
    &exporter_pushgateway,
    &exporter_insights,
    &exporter_otlp,
};
#define EXPORTER_COUNT (sizeof(exporter_table) / sizeof(exporter_table[0]))

bool exporter_is_wanted(const struct settings *settings)
{
    for (size_t i = 0; i < EXPORTER_COUNT; i++) {
        if (exporter_table[i]->is_configured(settings)) {
            return true;
        }
    }
    return false;
}

bool exporter_is_stale(const struct settings *settings)
{
    for (size_t i = 0; i < EXPORTER_COUNT; i++) {
        const struct exporter *exporter = exporter_table[i];
        if (exporter->is_stale != NULL && exporter->is_configured(settings) &&
            exporter->is_stale(settings)) {
            return true;
        }
    }
    return false;
}

size_t exporter_send(const struct settings *settings, const struct metrics_report *report,
                     const struct deadline *deadline)
{
    const struct exporter *wanted[EXPORTER_COUNT];
    size_t count = 0;
    size_t failed = 0;

    for (size_t i = 0; i < EXPORTER_COUNT; i++) {
        if (exporter_table[i]->is_configured(settings)) {
            wanted[count++] = exporter_table[i];
        }
    }
    for (size_t i = 0; i < count; i++) {
        struct error problem = ERROR_INIT;
        struct deadline share = deadline_in_ms(deadline_left_ms(deadline) / (int64_t)(count - i));
        if (!wanted[i]->send(settings, report, &share, &problem)) {
            failed++;
            log_write(&LOG_WITH(LOG_WARNING, LOG_MARK_WARNING, "metrics_not_sent",
                                LOG_TEXT("exporter", wanted[i]->name)),
                      "Metrics were not sent to %s: %s", wanted[i]->name, problem.text);
        }
    }
    return failed;
}
