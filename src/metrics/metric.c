#include "metrics/metric.h"

const struct metric metric_table[METRIC_COUNT] = {
    [METRIC_ENABLED] = {"enabled", METRIC_PLAIN, "1 when the schedule is enabled, else 0."},
    [METRIC_INVALID] = {"invalid", METRIC_PLAIN,
                        "1 when the schedule's row is wrong, so that no backup is made."},
    [METRIC_RUNNING] = {"running", METRIC_PLAIN, "1 while a backup is being made."},
    [METRIC_OVERDUE] = {"overdue", METRIC_PLAIN,
                        "1 when a backup should have been made by now, and was not."},
    [METRIC_EXPECTED_INTERVAL] = {"expected_interval", METRIC_SECONDS,
                                  "From the last scheduled time to the next."},
    [METRIC_NEXT_RUN] = {"next_run_timestamp", METRIC_SECONDS, "The next scheduled time."},
    [METRIC_LAST_SUCCESS] = {"last_success_timestamp", METRIC_SECONDS,
                             "When a backup was completed last."},
    [METRIC_LAST_FAILURE] = {"last_failure_timestamp", METRIC_SECONDS,
                             "When a run failed last, of the last 30."},
    [METRIC_FAILED_RUNS] = {"failed_runs", METRIC_PLAIN,
                            "Runs that failed since the last success, of the last 30."},
    [METRIC_LAST_DURATION] = {"last_duration", METRIC_SECONDS,
                              "How long the last successful backup took."},
    [METRIC_LAST_OBJECT_SIZE] = {"last_object_size", METRIC_BYTES,
                                 "Size of the last successful backup, as it is stored."},
    [METRIC_LAST_RAW_SIZE] = {"last_raw_size", METRIC_BYTES,
                              "Size of the last successful backup before compression."},
    [METRIC_USUAL_RAW_SIZE] = {"usual_raw_size", METRIC_BYTES,
                               "Median size before compression of up to seven backups before it."},
    [METRIC_LAST_ROWS] = {"last_rows", METRIC_PLAIN, "Rows in the last successful backup."},
    [METRIC_LAST_TABLES] = {"last_tables", METRIC_PLAIN, "Tables in the last successful backup."},
    [METRIC_VERIFY_EVERY] = {"verify_every", METRIC_PLAIN,
                             "One backup of so many is to be verified; 0: none is."},
    [METRIC_NEWEST_VERIFIED] = {"newest_verified_timestamp", METRIC_SECONDS,
                                "When the newest backup that was proved to be good was completed."},
    [METRIC_UNVERIFIED] = {"unverified_backups", METRIC_PLAIN,
                           "Backups made since the newest that was proved to be good."},
    [METRIC_REFUTED] = {"verification_failed", METRIC_PLAIN,
                        "1 when the last verification found its backup to be bad."},
    [METRIC_CHECKED] = {"checked_timestamp", METRIC_SECONDS,
                        "When these metrics were read from the ledger."},
};

const char *metric_suffix(enum metric_unit unit)
{
    static const char *const suffixes[] = {
        [METRIC_PLAIN] = "", [METRIC_SECONDS] = "_seconds", [METRIC_BYTES] = "_bytes"};

    return suffixes[unit];
}
