#!/bin/sh
# Makes the secrets of deploy/compose.yaml, once: run it beside compose.yaml. Existing files stay as they are.
set -eu
umask 077
mkdir -p secrets
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
keep() { [ -e "secrets/$1" ] || printf '%s' "$2" >"secrets/$1"; }
keep postgres-password "$(random)"
keep pgpass "postgres:5432:treeline:treeline:$(cat secrets/postgres-password)
"
keep rabbitmq-password "$(random)"
keep rabbitmq-conf "default_user = treeline
default_pass = $(cat secrets/rabbitmq-password)
"
keep pulse-url "amqp://treeline:$(cat secrets/rabbitmq-password)@rabbitmq:5672/"
keep s3-access-key "treeline"
keep s3-secret-key "$(random)"
keep metrics-token "$(random)"
# The programs in the containers run as users of their own, and must read them; nobody else gets into the directory.
chmod 0700 secrets
chmod 0444 secrets/*
