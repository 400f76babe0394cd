/*
 * A file for the textfile collector of Prometheus' node_exporter (its README): replaced as a whole,
 * by rename, each time that schedules were looked at.
 *
 * The file tells instants and intervals, not ages: whether a backup is overdue is for an alert rule
 * to find out, also when no tick comes any more. So a quiet tick need not write it, unless the file
 * is old: another host may be the one that looks.
 */
#ifndef METRICS_TEXTFILE_H
#define METRICS_TEXTFILE_H

#include "metrics/exporter.h"

extern const struct exporter exporter_textfile;

#endif
