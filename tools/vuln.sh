#!/bin/sh
# Looks for known vulnerabilities in what the programs call. Its database is on the internet: without it, say so and go on.
set -u
out=$(go tool -modfile=tools/vuln.mod govulncheck ./... 2>&1)
code=$?
printf '%s\n' "$out"
case "$out" in
*"fetching vulnerabilities"*|*"no such host"*|*"connection refused"*|*"dial tcp"*|*"i/o timeout"*)
	echo "govulncheck: its database can't be reached from here, so nothing was checked."
	exit 0
	;;
esac
exit $code
