"""Databases with what a dump may stumble over, and how a restored one is compared with its
source."""

import subprocess

import postgres_cluster
from pg_dumps import REAL

PSQL = postgres_cluster.program("psql")

# What the generator makes: too long to write down.
WIDE = "CREATE TABLE wide (" + ", ".join(f"c{i} integer" for i in range(1600)) + """);
INSERT INTO wide (c0, c1599) VALUES (1, 2);"""
MANY = """
DO $$ BEGIN FOR i IN 1..5000 LOOP
    EXECUTE format('CREATE TABLE many_%s (a integer, b text)', i);
    IF mod(i, 3) = 0 THEN EXECUTE format('INSERT INTO many_%s VALUES (%s, ''x'')', i, i); END IF;
    IF mod(i, 1000) = 0 THEN COMMIT; END IF;
END LOOP; END $$
"""

LARGE_OBJECTS = r"""
CREATE ROLE {a}; CREATE ROLE {b}; CREATE ROLE "{a} it's "" \";
SELECT lo_from_bytea(g, decode(repeat('0a', g), 'hex')) FROM generate_series(1, 250) g;
SELECT lo_from_bytea(4000000000, decode(repeat('deadbeef', 100000), 'hex'));
COMMENT ON LARGE OBJECT 1 IS 'it''s "large" \ and $$ ü';
ALTER LARGE OBJECT 2 OWNER TO {a};
ALTER LARGE OBJECT 3 OWNER TO "{a} it's "" \";
GRANT SELECT ON LARGE OBJECT 3 TO PUBLIC;
GRANT UPDATE ON LARGE OBJECT 3 TO "{a} it's "" \" WITH GRANT OPTION;
REVOKE ALL ON LARGE OBJECT 4 FROM postgres;
REVOKE UPDATE ON LARGE OBJECT 5 FROM postgres;
GRANT SELECT ON LARGE OBJECT 5 TO {b};
GRANT SELECT ON LARGE OBJECT 6 TO {a} WITH GRANT OPTION;
GRANT UPDATE ON LARGE OBJECT 6 TO {a};
SET SESSION AUTHORIZATION {a};
GRANT SELECT ON LARGE OBJECT 6 TO {b};
GRANT SELECT ON LARGE OBJECT 6 TO PUBLIC;
RESET SESSION AUTHORIZATION;
REVOKE ALL ON LARGE OBJECT 7 FROM postgres;
GRANT SELECT ON LARGE OBJECT 7 TO {a};
GRANT ALL ON LARGE OBJECT 7 TO postgres;
"""


# Its rows come to other partitions where the enum's values have other oids.
HASHED = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'fine', 'well');
CREATE TABLE hashed (m mood, a integer) PARTITION BY HASH (m);
""" + "".join(f"""
CREATE TABLE hashed_{number} PARTITION OF hashed
    FOR VALUES WITH (MODULUS 5, REMAINDER {number});
""" for number in range(5)) + """
INSERT INTO hashed
SELECT (ARRAY['sad', 'ok', 'fine', 'well'])[g % 4 + 1]::mood, g FROM generate_series(1, 40) g;
"""


def compared(cluster, name, *options):
    """A dump to compare by."""
    return subprocess.run([REAL, "--restrict-key=k", *options, cluster.url(name)], check=True,
                          capture_output=True).stdout


def replay(cluster, path, name):
    """As README says: zstd -dc | psql, which must not fail."""
    decompress = {".zst": "zstd", ".gz": "gzip"}.get(path.suffix, "cat")
    command = f"{decompress} {'' if decompress == 'cat' else '-dc'} '{path}' |" \
              f" '{PSQL}' -X -q -v ON_ERROR_STOP=1 -d '{cluster.url(name)}' >/dev/null"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
