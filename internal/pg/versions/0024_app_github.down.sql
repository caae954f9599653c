DROP TABLE github_said;
DROP TABLE github_pulls;
DROP TABLE github_builds;
DROP TABLE github_deliveries;
DROP TABLE github_repositories;
DROP TABLE github_installations;
