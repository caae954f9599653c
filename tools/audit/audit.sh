#!/bin/sh
# Looks for known vulnerabilities in what Treeline is built from. Usage: tools/audit/audit.sh [-db DATABASE] [PACKAGE...]
#
# DATABASE is an https:// address, or file:///DIRECTORY with a copy, unpacked from vulndb.zip of vuln.go.dev; without
# -db that which GOVULNDB names, without that vuln.go.dev. The status is 0 when the database was asked and knows of nothing
# that is called, 1 when it knows of something, and 2 when it could not be asked, which says nothing about Treeline. The
# database "none" is for who chooses not to look: the status is 0, and it is said that nothing was checked.
set -eu

version=v1.8.0
database=${GOVULNDB:-https://vuln.go.dev}
if [ "${1-}" = -db ]; then
	database=${2:?audit: -db needs a database}
	shift 2
fi
[ $# -gt 0 ] || set -- ./...

if [ "$database" = none ]; then
	echo "audit: KNOWN VULNERABILITIES WERE NOT LOOKED FOR: the database \"none\" was chosen."
	exit 0
fi

bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
if ! GOBIN=$bin GOFLAGS= go install "golang.org/x/vuln/cmd/govulncheck@$version" 2>"$bin/log"; then
	cat "$bin/log" >&2
	echo "audit: NOTHING WAS CHECKED: govulncheck $version cannot be installed." >&2
	exit 2
fi

status=0
"$bin/govulncheck" -db "$database" "$@" 2>"$bin/log" || status=$?
cat "$bin/log" >&2
case $status in
0) echo "audit: $database knows of no vulnerability that Treeline's code reaches." ;;
3)
	echo "audit: vulnerabilities were found; see above. Update the modules, or Go, or stop calling what is named." >&2
	exit 1
	;;
*)
	echo "audit: NOTHING WAS CHECKED: govulncheck ended with status $status; is the database $database within reach?" >&2
	echo "audit: where it is not, give a copy: unpack vulndb.zip of vuln.go.dev, then GOVULNDB=file:///DIRECTORY make audit" >&2
	echo "audit: to do without, GOVULNDB=none make audit: then only licences are looked at." >&2
	exit 2
	;;
esac
