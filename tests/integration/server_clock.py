"""The server's clock under a test's hand."""

from tables import NIGHT


class Clock:
    """The server's clock, as the program asks for it in this database: pg_catalog comes last."""

    def __init__(self, database):
        self._database = database
        database.execute("CREATE SCHEMA clock")
        database.execute("CREATE TABLE clock.ahead AS SELECT interval '0' AS by")
        database.execute(
            "CREATE FUNCTION clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS"
            " 'SELECT pg_catalog.clock_timestamp() + by FROM clock.ahead'")
        database.execute(f'ALTER DATABASE "{database.name}" SET search_path ='
                         " clock, public, pg_catalog")

    def set(self, time, day=NIGHT):
        self._database.execute(
            "UPDATE clock.ahead SET by = %s::timestamptz - pg_catalog.clock_timestamp()",
            f"{day} {time}Z")
