#!/bin/sh
# Does what the entry point of the image postgres does with what compose.yaml passes: the first time it makes a cluster
# with POSTGRES_USER, the password in POSTGRES_PASSWORD_FILE and POSTGRES_DB, by a server that only its socket reaches.
set -eu
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
case ${1-} in -*) set -- postgres "$@" ;; esac
if [ "$(id -u)" = 0 ]; then
	mkdir -p "$PGDATA" /run/postgresql
	chown postgres "$PGDATA" /run/postgresql
	chmod 0700 "$PGDATA"
	exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
	initdb --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" --encoding=UTF8 --locale=C.UTF-8 --auth-local=trust --auth-host=scram-sha-256
	echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
	echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
	pg_ctl -w -o "-c listen_addresses=''" start
	[ "$POSTGRES_DB" = postgres ] || createdb --username="$POSTGRES_USER" --maintenance-db=postgres "$POSTGRES_DB"
	pg_ctl -w -m fast stop
fi
exec "$@"
