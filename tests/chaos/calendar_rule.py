"""When a schedule fires, from the rule's words alone (migrations/102): the judge of its SQL.

Python's zoneinfo does the arithmetic here, Postgres does it there. Instants are whole seconds since
1970-01-01T00:00Z.
"""

import bisect
import datetime
import zoneinfo

DAY = datetime.timedelta(days=1)
HOUR_S = 3600
MINUTE_S = 60


def instant_of(zone, day, time):
    """When the clocks of this zone show this time on this day.

    What they never show moves on by the change: it is read as if they had not been changed yet
    (fold=0). Of what they show twice the second one counts (fold=1). In either case that is the
    later one of PEP 495's two readings.
    """
    wall = datetime.datetime.combine(day, time, zone)
    return int(max(wall.replace(fold=fold).timestamp() for fold in (0, 1)))


def is_last_of_month(day):
    return (day + DAY).day == 1


def is_day_of(frequency, days, day):
    if frequency == "daily":
        return True
    if frequency == "weekly":
        return day.isoweekday() in days
    if day.day in days:
        return True
    return is_last_of_month(day) and (-1 in days or any(number > day.day for number in days))


class Calendar:
    """The instants of schedules in one zone in some whole years of UTC."""

    def __init__(self, zone_name, first_year, last_year):
        self.zone = zoneinfo.ZoneInfo(zone_name)
        self.begin = int(datetime.datetime(first_year, 1, 1, tzinfo=datetime.timezone.utc)
                         .timestamp())
        self.end = int(datetime.datetime(last_year + 1, 1, 1, tzinfo=datetime.timezone.utc)
                       .timestamp()) - 1
        self._offsets = [self.offset(hour) for hour in range(self.begin, self.end + 2, HOUR_S)]
        self._of_days = {}

    def offset(self, instant):
        """Of the zone's clocks from UTC, in seconds."""
        local = datetime.datetime.fromtimestamp(instant, self.zone)
        return int(local.utcoffset().total_seconds())

    def transitions(self):
        """The instants from which on the clocks show something else."""
        found = []
        for number, (before, after) in enumerate(zip(self._offsets, self._offsets[1:])):
            if before != after:
                hour = self.begin + number * HOUR_S
                found.append(bisect.bisect_left(range(hour, hour + HOUR_S), True,
                                                key=lambda at, old=before: self.offset(at) != old)
                             + hour)
        return found

    def _instants_of_days(self, time):
        """(day, instant) of every day on the calendar, those that the clocks left out included."""
        if time not in self._of_days:
            begin = datetime.datetime.fromtimestamp(self.begin, datetime.timezone.utc)
            day = begin.date() - 3 * DAY
            found = []
            while len(found) < (self.end - self.begin) // 86400 + 6:
                found.append((day, instant_of(self.zone, day, time)))
                day += DAY
            self._of_days[time] = found
        return self._of_days[time]

    def _minute_in_hour(self, hour, offset, minute):
        """The first instant of this hour of UTC at which the clocks show this minute. None shows it
        when they are changed by half an hour meanwhile: then as if they had not been."""
        for at in range(hour, hour + HOUR_S, MINUTE_S):
            if (at + self.offset(at)) // MINUTE_S % 60 == minute:
                return at
        return hour + (minute * MINUTE_S - hour - offset) % HOUR_S

    def _hourly(self, minute):
        for number, (offset, next_offset) in enumerate(zip(self._offsets, self._offsets[1:])):
            hour = self.begin + number * HOUR_S
            if offset == next_offset:
                yield hour + (minute * MINUTE_S - hour - offset) % HOUR_S
            else:
                yield self._minute_in_hour(hour, offset, minute)

    def occurrences(self, frequency, days, time):
        """Those in (begin, end], in order."""
        time = time.replace(second=0, microsecond=0)
        if frequency == "hourly":
            found = self._hourly(time.minute)
        else:
            found = (instant for day, instant in self._instants_of_days(time)
                     if is_day_of(frequency, days, day))
        return sorted({instant for instant in found if self.begin < instant <= self.end})


def latest(occurrences, instant):
    """The last one that is not after this; None before the first."""
    index = bisect.bisect_right(occurrences, instant)
    return occurrences[index - 1] if index else None


def following(occurrences, instant):
    index = bisect.bisect_right(occurrences, instant)
    return occurrences[index] if index < len(occurrences) else None
