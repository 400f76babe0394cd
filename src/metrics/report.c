#include "metrics/report.h"

const char *metrics_event_name(enum metrics_event_kind kind)
{
    return kind == METRICS_BACKUP ? "backup" : "verification";
}
