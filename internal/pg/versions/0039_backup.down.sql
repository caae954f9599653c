DROP TABLE backup_lineage;
DROP TABLE backups;
