-- table: jobs
WITH piece AS (
	SELECT id FROM jobs WHERE id > coalesce(($1::text::jsonb->>'id')::bigint, 0) ORDER BY id LIMIT $2
), done AS (
	UPDATE jobs SET duration = (millis / 1000.0)::numeric(20, 3) || 's' FROM piece WHERE jobs.id = piece.id AND duration IS NULL
)
SELECT count(*), CASE WHEN count(*) > 0 THEN json_build_object('id', max(id))::text END FROM piece
