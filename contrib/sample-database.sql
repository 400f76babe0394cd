-- A database like the RYTHM web application's, to try backups on: tenants and their users, training
-- sessions (most of the data), and one of each thing that a dump can get wrong.
--
--     createdb rythm && psql -X -v ON_ERROR_STOP=1 -d rythm -f contrib/sample-database.sql
--     ... -v scale=0.01 ...      a hundredth of the rows (1 is about 45 MB of dump)
--
-- The same scale makes the same rows each time.

\if :{?scale}
\else
\set scale 1
\endif
SELECT greatest(3, (40 * :scale)::int) AS tenants,
       greatest(20, (4000 * :scale)::int) AS users,
       greatest(100, (100000 * :scale)::int) AS sessions,
       greatest(10, (2000 * :scale)::int) AS notes \gset
SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'citext') AS has_citext \gset

BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL timezone = 'UTC';

\if :has_citext
CREATE EXTENSION IF NOT EXISTS citext;
\set email_type citext
\else
\set email_type text
\endif

CREATE TYPE user_role AS ENUM ('member', 'coach', 'tenant_admin', 'system_admin');
CREATE DOMAIN heart_rate AS smallint CHECK (VALUE BETWEEN 20 AND 250);

CREATE FUNCTION touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

CREATE TABLE tenants (
    tenant_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE,
    settings jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO tenants
SELECT md5('tenant ' || n)::uuid,
       'Tenant ' || n || CASE WHEN n % 7 = 0 THEN ' "Çelik & Söhne" 東京' ELSE '' END,
       jsonb_build_object('theme', CASE n % 2 WHEN 0 THEN 'dark' ELSE 'light' END,
                          'limits', jsonb_build_object('users', n * 10, 'quota', n * 1.5)),
       '2024-01-01'::timestamptz + n * interval '1 day'
FROM generate_series(1, :tenants) AS n;

CREATE TABLE users (
    user_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid REFERENCES tenants ON DELETE CASCADE,
    email :email_type NOT NULL UNIQUE,
    role user_role NOT NULL DEFAULT 'member',
    full_name text,
    tags text[] NOT NULL DEFAULT '{}',
    avatar bytea,
    email_domain text GENERATED ALWAYS AS (lower(split_part(email::text, '@', 2))) STORED,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO users (user_id, tenant_id, email, role, full_name, tags, avatar, created_at, updated_at)
SELECT md5('user ' || n)::uuid,
       md5('tenant ' || 1 + n % :tenants)::uuid,
       'user' || n || '@Example' || n % 5 || '.org',
       (ARRAY['member', 'member', 'member', 'coach', 'tenant_admin'])[1 + n % 5]::user_role,
       CASE WHEN n % 11 = 0 THEN NULL ELSE 'User ' || n || E'\tof\\many' END,
       ARRAY['tag ' || n % 3, '{"' || n % 4 || '"}', NULL],
       decode(repeat(md5('avatar ' || n), 8), 'hex'),
       '2024-02-01'::timestamptz + n * interval '1 minute',
       '2024-02-01'::timestamptz + n * interval '1 minute'
FROM generate_series(1, :users) AS n;
INSERT INTO users (user_id, email, role, full_name, created_at, updated_at) VALUES
    (md5('admin 1')::uuid, 'ada.admin@rythm.example', 'system_admin', 'Ada Admin',
     '2024-01-01 08:00+00', '2024-01-01 08:00+00'),
    (md5('admin 2')::uuid, 'omar.ops@rythm.example', 'system_admin', 'Omar Ops',
     '2024-01-01 09:00+00', '2024-01-01 09:00+00');
CREATE TRIGGER users_touch BEFORE UPDATE ON users
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();

-- Most of the data.
CREATE TABLE sessions (
    session_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    lasted interval GENERATED ALWAYS AS (ended_at - started_at) STORED,
    resting heart_rate,
    beats integer[] NOT NULL,
    summary jsonb NOT NULL,
    token text NOT NULL
);
INSERT INTO sessions (user_id, started_at, ended_at, resting, beats, summary, token)
SELECT md5('user ' || 1 + n % :users)::uuid,
       '2024-03-01'::timestamptz + n * interval '97 seconds',
       CASE WHEN n % 50 = 0 THEN NULL
            ELSE '2024-03-01'::timestamptz + n * interval '97 s' + n % 5400 * interval '1 s' END,
       50 + n % 40,
       ARRAY[60 + n % 90, 61 + n % 80, 62 + n % 70, 63 + n % 60, 64 + n % 50, 65 + n % 40],
       jsonb_build_object('kind', (ARRAY['run', 'ride', 'row', 'rest'])[1 + n % 4],
                          'load', (n % 1000) / 10.0,
                          'zones', jsonb_build_array(n % 7, n % 11, n % 13)),
       md5('a ' || n) || md5('b ' || n) || md5('c ' || n) || md5('d ' || n)
FROM generate_series(1, :sessions) AS n;
CREATE INDEX sessions_by_user ON sessions (user_id, started_at);
CREATE INDEX sessions_by_kind ON sessions ((summary ->> 'kind')) WHERE ended_at IS NOT NULL;

-- Only the tenant that the application names may see these, the table's owner included.
CREATE TABLE medical_notes (
    note_id integer PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES tenants,
    user_id uuid NOT NULL REFERENCES users,
    body text NOT NULL
);
INSERT INTO medical_notes
SELECT n, md5('tenant ' || 1 + n % :tenants)::uuid, md5('user ' || 1 + n % :users)::uuid,
       repeat('Note ' || n || E': pulse normal.\n', 1 + n % 9)
FROM generate_series(1, :notes) AS n;
ALTER TABLE medical_notes ENABLE ROW LEVEL SECURITY;
ALTER TABLE medical_notes FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON medical_notes
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);

CREATE SEQUENCE invoice_number START 2024001 CACHE 10;
CREATE TABLE invoices (
    invoice text PRIMARY KEY DEFAULT 'INV-' || nextval('invoice_number'),
    tenant_id uuid NOT NULL REFERENCES tenants,
    amount numeric(12, 2) NOT NULL,
    period daterange NOT NULL
);
INSERT INTO invoices (tenant_id, amount, period)
SELECT tenant_id, 19.99 * m, daterange('2024-01-01'::date + m * 30, '2024-01-31'::date + m * 30)
FROM tenants, generate_series(1, 3) AS m ORDER BY name, m;
ALTER SEQUENCE invoice_number OWNED BY invoices.invoice;

CREATE TABLE audit_log (at timestamptz NOT NULL, actor text, change jsonb) PARTITION BY RANGE (at);
CREATE TABLE audit_log_2024 PARTITION OF audit_log FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE audit_log_rest PARTITION OF audit_log DEFAULT;
INSERT INTO audit_log
SELECT '2024-12-01'::timestamptz + n * interval '6 hours', 'user ' || n, jsonb_build_object('n', n)
FROM generate_series(1, 300) AS n;

-- A recording is a large object, which no table holds.
CREATE TABLE recordings (name text PRIMARY KEY, content oid NOT NULL);
INSERT INTO recordings
SELECT 'recording ' || n,
       lo_from_bytea(0, decode(repeat(md5('recording ' || n), 20000), 'hex'))
FROM generate_series(1, 3) AS n;

CREATE TABLE "Odd ""names"" & values" (
    "a column" text, "Ünïcode" text, nothing text, number float8
);
INSERT INTO "Odd ""names"" & values" VALUES
    (E'back\\slash\ttab\nnew line', 'Grüße, 世界 🎯', NULL, 'NaN'), ('\.', '\N', '', '-Infinity'),
    ('''; DROP TABLE users; --', '$$', E'\r\n', 0.1::float8 + 0.2::float8);

CREATE VIEW session_totals AS
SELECT t.name AS tenant, count(*) AS sessions, sum(s.lasted) AS total
FROM sessions s JOIN users u USING (user_id) JOIN tenants t USING (tenant_id)
GROUP BY t.name;
CREATE MATERIALIZED VIEW sessions_per_kind AS
SELECT summary ->> 'kind' AS kind, count(*) AS sessions FROM sessions GROUP BY 1 ORDER BY 1;

CREATE FUNCTION tenant_of(address text) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT tenant_id FROM users WHERE lower(email::text) = lower(address)
$$;

GRANT SELECT ON tenants, session_totals TO PUBLIC;
REVOKE ALL ON FUNCTION tenant_of(text) FROM PUBLIC;
COMMENT ON TABLE sessions IS 'One row per session; the trainer''s "raw" data';
COMMIT;

-- One of the numbers that the sequence holds back must be in the dump, not only those in rows.
SELECT nextval('invoice_number') \g /dev/null
ANALYZE;
