-- How long a job took becomes a number. Programs of before write and read the text, those of after the number:
-- whichever is written, the other follows.
ALTER TABLE jobs ADD COLUMN millis bigint;

CREATE FUNCTION jobs_both() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.millis IS NULL OR TG_OP = 'UPDATE' AND NEW.duration IS DISTINCT FROM OLD.duration THEN
		NEW.millis := round(rtrim(NEW.duration, 's')::numeric * 1000);
	ELSIF NEW.duration IS NULL OR TG_OP = 'UPDATE' AND NEW.millis IS DISTINCT FROM OLD.millis THEN
		NEW.duration := (NEW.millis / 1000.0)::numeric(20, 3) || 's';
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER jobs_both BEFORE INSERT OR UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION jobs_both();
