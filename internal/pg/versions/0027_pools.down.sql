DROP TABLE worker_providers;
DROP TABLE worker_pool_errors;
DROP TABLE pool_workers;
DROP TABLE worker_launches;
DROP TABLE launch_configs;
DROP TABLE worker_pools;
