#!/bin/sh
# Does what the entry point of the image rabbitmq does: the server runs as its own user; its settings are those of conf.d.
set -eu
if [ "$(id -u)" = 0 ]; then
	chown rabbitmq /var/lib/rabbitmq
	exec setpriv --reuid=rabbitmq --regid=rabbitmq --init-groups "$0" "$@"
fi
export RABBITMQ_LOGS=-
exec "/usr/lib/rabbitmq/bin/$@"
