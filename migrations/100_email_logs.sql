-- One row per e-mail. The RYTHM application has this table, with types of its own for email_type
-- and status; it is made here only where it is missing.

CREATE TABLE IF NOT EXISTS email_logs (
    email_log_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid,
    user_id uuid,
    email_type text NOT NULL,
    status text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'sent', 'failed', 'delivered', 'bounced')),
    to_address text NOT NULL,
    from_address text,
    reply_to_address text,
    subject text,
    plain_text_body text,
    html_body text,
    message_id text,
    error_message text,
    sent_at timestamptz,
    delivered_at timestamptz,
    metadata jsonb,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);
