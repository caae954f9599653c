DROP INDEX pending_group;
ALTER TABLE pending DROP COLUMN task_group_id;
ALTER TABLE task_groups DROP COLUMN weight;

-- The rows keep their order and get numbers of the sequence, so that later ones come after them.
UPDATE pending p SET seq = o.seq
FROM (
    SELECT task_id, nextval(pg_get_serial_sequence('pending', 'seq')) AS seq
    FROM (SELECT task_id FROM pending ORDER BY seq, task_id) AS s
) AS o
WHERE p.task_id = o.task_id;

ALTER TABLE pending ALTER COLUMN seq SET GENERATED ALWAYS;
