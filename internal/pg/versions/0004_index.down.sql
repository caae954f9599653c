DROP TABLE index_namespaces;
DROP TABLE indexed_tasks;
