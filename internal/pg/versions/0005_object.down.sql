DROP TABLE objects, object_contents;
