DROP TABLE tasks, definitions, runs, dependencies, task_groups, pending, claims, deadlines, artifacts, queue_workers;
