DROP TABLE trace_exports;
