DROP TABLE auth_audit, auth_roles, auth_clients, auth_state;
