#!/usr/bin/env bash
# Installs Slurm and PostgreSQL from Debian's packages where they are missing; fails, and says so, where it may not.
set -uo pipefail
missing=()
command -v slurmctld >/dev/null && command -v slurmd >/dev/null || missing+=(slurm-wlm)
command -v munged >/dev/null || missing+=(munge)
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing+=(postgresql)
[ ${#missing[@]} = 0 ] && exit 0

log=$(mktemp)
# RUNLEVEL=1: Debian starts a service that it installs, but not in single-user mode. The tests start their own.
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null &&
    apt-get update >"$log" 2>&1 &&
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >>"$log" 2>&1; then
    rm -f "$log"
    exit 0
fi
{
    echo "The tests on a real cluster did NOT run: ${missing[*]} could not be installed."
    [ "$(id -u)" = 0 ] && tail -n 3 "$log" || echo "Installing them takes root: apt-get install ${missing[*]}"
} >&2
rm -f "$log"
exit 1
