-- Where the copies of a backup are, for runs that have more than one store; a run without rows here
-- has the one store that its row in backup_history names.
--   pending   the run was to store it there: what became of that is not known yet; of a run that
--             failed, what it left there is to be removed
--   stored    it is there, or was once
--   missing   it is not, and the next check is to copy it there
--   damaged   it is there, and a verification found that copy to be bad
--   gone      nobody wants it there any more: the run failed, the store is named no more, or
--             retention was faster
CREATE TABLE IF NOT EXISTS backup_copies (
    run_id text NOT NULL,
    store text NOT NULL, -- as in backup_history
    required boolean NOT NULL DEFAULT true,
    state text NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'stored', 'missing', 'damaged', 'gone')),
    error_message text, -- why it is missing or damaged
    attempts integer NOT NULL DEFAULT 0, -- to copy it there, that failed
    tried_at timestamptz,
    due_at timestamptz NOT NULL DEFAULT now(), -- when to try next
    PRIMARY KEY (run_id, store)
);
CREATE INDEX IF NOT EXISTS backup_copies_owed ON backup_copies (due_at)
    WHERE state IN ('pending', 'missing');

-- Who may write the ledger may write this part of it, too.
DO $block$
DECLARE
    of_ledger oid;
BEGIN
    FOR of_ledger IN
        SELECT a.grantee FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
        WHERE c.oid = 'backup_history'::regclass AND a.privilege_type = 'INSERT'
            AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON backup_copies TO %s',
                       CASE WHEN of_ledger = 0 THEN 'PUBLIC'
                            ELSE quote_ident(pg_get_userbyid(of_ledger)) END);
    END LOOP;
END
$block$;
