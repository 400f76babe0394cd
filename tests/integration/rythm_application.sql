-- The RYTHM application's database as far as backups touch it: its own types, defaults, keys,
-- triggers and columns, and rows that the old service left.

CREATE EXTENSION "uuid-ossp";
CREATE EXTENSION citext;

CREATE TYPE user_role AS ENUM ('member', 'trainer', 'tenant_admin', 'system_admin');
CREATE TYPE email_type AS ENUM
    ('welcome', 'password_reset', 'session_reminder', 'backup_notification');
CREATE TYPE email_status AS ENUM ('pending', 'sent', 'failed', 'delivered', 'bounced');

CREATE FUNCTION update_updated_at_column() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at = now();
    RETURN NEW;
END
$$;

CREATE TABLE tenants (
    tenant_id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    name varchar(255) NOT NULL
);
INSERT INTO tenants VALUES ('10000000-0000-4000-8000-000000000001', 'Studio North');

CREATE TABLE users (
    user_id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    tenant_id uuid REFERENCES tenants ON DELETE CASCADE,
    email citext NOT NULL UNIQUE,
    role user_role NOT NULL DEFAULT 'member'
);
INSERT INTO users VALUES
    ('20000000-0000-4000-8000-000000000001', NULL, 'Root@rythm.example', 'system_admin'),
    ('20000000-0000-4000-8000-000000000002', '10000000-0000-4000-8000-000000000001',
     'member@rythm.example', 'member');

CREATE TABLE backup_schedule (
    schedule_id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    enabled boolean DEFAULT false,
    schedule_time time DEFAULT '02:00:00',
    retention_days integer DEFAULT 30,
    last_run_at timestamptz,
    next_run_at timestamptz,
    created_at timestamptz DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamptz DEFAULT CURRENT_TIMESTAMP
);
CREATE TRIGGER update_backup_schedule_updated_at BEFORE UPDATE ON backup_schedule
    FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
INSERT INTO backup_schedule VALUES
    ('30000000-0000-4000-8000-000000000001', true, '03:15:00', 14, '2025-01-28 03:15:04.5+00',
     '2025-01-29 03:15:04.5+00', '2025-01-01 00:00:00+00', '2025-01-28 03:15:04.5+00');

CREATE TABLE backup_history (
    history_id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    backup_filename varchar(255) NOT NULL,
    backup_type varchar(20) NOT NULL DEFAULT 'scheduled'
        CHECK (backup_type IN ('scheduled', 'manual')),
    status varchar(20) NOT NULL DEFAULT 'started'
        CHECK (status IN ('started', 'completed', 'failed')),
    file_size_bytes bigint,
    duration_seconds integer,
    error_message text,
    initiated_by_user_id uuid REFERENCES users ON DELETE SET NULL,
    started_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    completed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    requested_from inet
);
CREATE INDEX idx_backup_history_started_at ON backup_history (started_at DESC);
INSERT INTO backup_history VALUES
    ('40000000-0000-4000-8000-000000000001', 'rythm-backup-2025-01-28T03-15-00-000Z.sql',
     'scheduled', 'completed', 160256, 4, NULL, NULL, '2025-01-28 03:15:00+00',
     '2025-01-28 03:15:04+00', '2025-01-28 03:15:00+00', NULL),
    ('40000000-0000-4000-8000-000000000002', 'rythm-backup-2025-01-28T09:00:00.000Z.sql',
     'manual', 'started', NULL, NULL, NULL, '20000000-0000-4000-8000-000000000001',
     '2025-01-28 09:00:00+00', NULL, '2025-01-28 09:00:00+00', '203.0.113.7');

CREATE TABLE email_logs (
    email_log_id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    tenant_id uuid REFERENCES tenants ON DELETE CASCADE,
    user_id uuid REFERENCES users ON DELETE SET NULL,
    email_type email_type NOT NULL,
    status email_status NOT NULL DEFAULT 'pending',
    to_address varchar(255) NOT NULL,
    from_address varchar(255) NOT NULL,
    reply_to_address varchar(255),
    subject varchar(500) NOT NULL,
    plain_text_body text,
    html_body text,
    message_id varchar(255),
    error_message text,
    sent_at timestamptz,
    delivered_at timestamptz,
    metadata jsonb DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TRIGGER update_email_logs_updated_at BEFORE UPDATE ON email_logs
    FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
INSERT INTO email_logs (email_log_id, user_id, email_type, status, to_address, from_address,
                        subject, metadata, created_at, updated_at) VALUES
    ('50000000-0000-4000-8000-000000000001', '20000000-0000-4000-8000-000000000002', 'welcome',
     'pending', 'member@rythm.example', 'DoNotReply@mail.rythm.example', 'Welcome', '{}',
     '2025-01-02 00:00:00+00', '2025-01-02 00:00:00+00');
