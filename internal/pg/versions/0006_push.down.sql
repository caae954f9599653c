DROP TABLE pushes;
DROP TABLE repository_heads;
DROP TABLE repositories;
