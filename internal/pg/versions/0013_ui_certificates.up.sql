-- Sessions begun with temporary credentials keep the certificate, which is worth nothing without the access token that goes with it:
-- each request checks it again, against its issuer as it is then.
ALTER TABLE ui_sessions ADD COLUMN certificate text;
