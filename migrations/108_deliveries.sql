-- The outbox: who is to be told of what, by which channel, and how far that has come. A row per
-- outcome, channel and recipient. An e-mail has its row in email_logs, too, with the same id.

CREATE TABLE IF NOT EXISTS rythm_backup_deliveries (
    delivery_id uuid PRIMARY KEY,
    news_key text NOT NULL,                  -- the same news has the same key
    again boolean NOT NULL DEFAULT false,    -- asked for by hand, though it may be one of its key
    channel text NOT NULL,                   -- acs, smtp, slack, ...
    recipient text NOT NULL,                 -- an address; '' where the channel leads to one place
    is_mail boolean NOT NULL DEFAULT false,
    is_test boolean NOT NULL DEFAULT false,  -- not tried again
    news jsonb,                              -- what is to be told; NULL once that is done
    -- merged: told by the row merged_into, together with others. withdrawn: its e-mail is not
    -- pending any more, though nobody here has sent it.
    state text NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'sent', 'given up', 'merged', 'withdrawn')),
    merged_into uuid,
    attempts integer NOT NULL DEFAULT 0,     -- that were begun; since it was accepted, when it was
    receipt text,                            -- the service has it, under this id
    next_attempt_at timestamptz NOT NULL,
    throttled boolean NOT NULL DEFAULT false, -- until then the channel's service wants no more
    last_error text,
    created_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE UNIQUE INDEX IF NOT EXISTS rythm_backup_deliveries_once
    ON rythm_backup_deliveries (news_key, channel, recipient) WHERE NOT again;
CREATE INDEX IF NOT EXISTS rythm_backup_deliveries_pending
    ON rythm_backup_deliveries (next_attempt_at) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS rythm_backup_deliveries_ended
    ON rythm_backup_deliveries (state, ended_at);
