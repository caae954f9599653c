-- table: jobs
WITH piece AS (
	SELECT id FROM jobs WHERE id > coalesce(($1::text::jsonb->>'id')::bigint, 0) ORDER BY id LIMIT $2
), done AS (
	UPDATE jobs SET millis = round(rtrim(duration, 's')::numeric * 1000) FROM piece WHERE jobs.id = piece.id AND millis IS NULL
)
SELECT count(*), CASE WHEN count(*) > 0 THEN json_build_object('id', max(id))::text END FROM piece
