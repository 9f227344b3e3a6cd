#!/usr/bin/env bash
# Records log/postgresql.csv.gz anew: the log of a real PostgreSQL 15 under about ninety seconds of mixed load.
#
#   ./record.sh [output.csv.gz]      default output: log/postgresql.csv.gz beside this script
#
#   PG_BIN    folder of initdb, pg_ctl, psql and pgbench   default /usr/lib/postgresql/15/bin
#   SECONDS_OF_LOAD                                            default 90
#
# It needs PostgreSQL 15 (Debian: apt-get install postgresql-15) and an unprivileged user, because PostgreSQL refuses
# to run as root. The server is private: a new cluster in a temporary folder, on a free port of the loopback address,
# without a Unix socket. It stops and the folder goes when this script ends, however it ends.
#
# What the sessions do is in workload/*.sql; the session's application_name is the name of its file.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
output=${1:-$here/log/postgresql.csv.gz}
pg_bin=${PG_BIN:-/usr/lib/postgresql/15/bin}
seconds=${SECONDS_OF_LOAD:-90}

if [[ $(id -u) == 0 ]]; then
  echo "record.sh: PostgreSQL does not run as root; run this as another user" >&2
  exit 1
fi

folder=$(mktemp -d)
clean_up() {
  kill $(jobs -p) 2>/dev/null || true
  "$pg_bin/pg_ctl" --pgdata="$folder/data" --mode=immediate --silent stop >/dev/null 2>&1 || true
  rm -rf "$folder"
}
trap clean_up EXIT
trap 'exit 130' INT TERM
cd "$folder"

is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
port=54320
while is_taken "$port"; do port=$((port + 1)); done

export PGHOST=127.0.0.1 PGPORT=$port PGUSER=postgres PGDATABASE=shop LC_ALL=C

"$pg_bin/initdb" --pgdata=data --username=postgres --auth=trust --encoding=UTF8 --locale=C --no-sync >/dev/null

# Every statement is recorded (log_min_duration_statement = 0); the load is paced instead, so that the log stays small.
# Memory and WAL are tight on purpose: sorts spill to temporary files and checkpoints happen while we watch.
cat >>data/postgresql.conf <<CONF
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = ''
shared_buffers = 32MB
work_mem = 1MB
max_wal_size = 64MB
min_wal_size = 32MB
checkpoint_timeout = 30s
autovacuum_naptime = 5s
autovacuum_vacuum_scale_factor = 0.02
fsync = off

logging_collector = on
log_destination = csvlog
log_filename = 'postgresql'
log_timezone = UTC
log_min_duration_statement = 0
log_autovacuum_min_duration = 0
log_checkpoints = on
log_connections = on
log_disconnections = on
log_lock_waits = on
deadlock_timeout = 200ms
log_temp_files = 256kB
CONF

"$pg_bin/pg_ctl" --pgdata=data --log="$folder/stderr" --wait --silent start

echo "record.sh: filling the tables" >&2
# Loading is not part of the story, hence not part of the log.
export PGOPTIONS="-c log_min_duration_statement=-1"
"$pg_bin/createdb" shop
"$pg_bin/pgbench" --initialize --scale=10 --quiet 2>/dev/null
"$pg_bin/psql" --quiet --no-psqlrc --file="$here/workload/schema.sql"
unset PGOPTIONS

# bench NAME ROLE RATE [pgbench options]: pgbench's builtin transactions at a steady rate per second.
bench() {
  local name=$1 role=$2 rate=$3
  shift 3
  PGAPPNAME=$name PGUSER=$role "$pg_bin/pgbench" --time="$seconds" --rate="$rate" --no-vacuum "$@" >/dev/null 2>&1
}

# repeat NAME ROLE PAUSE: workload/NAME.sql again and again, with a pause of so many seconds in between.
repeat() {
  local name=$1 role=$2 pause=$3
  while ((SECONDS < end)); do
    PGAPPNAME=$name PGUSER=$role "$pg_bin/psql" --quiet --no-psqlrc --no-align \
      --file="$here/workload/$name.sql" >/dev/null 2>&1 || true
    sleep "$pause"
  done
}

echo "record.sh: recording for $seconds s" >&2
end=$((SECONDS + seconds))
bench checkout web 70 --client=6 --builtin=tpcb-like &
bench catalogue web 140 --client=4 --builtin=select-only &
bench mobile-api web 35 --client=3 --builtin=tpcb-like@1 --builtin=simple-update@2 --builtin=select-only@3 &
bench partner-api web 12 --client=2 --protocol=prepared --builtin=simple-update@1 --builtin=select-only@2 &
repeat report analyst 1 &
repeat search web 0.3 &
repeat billing web 0.5 &
repeat export analyst 3 &
repeat admin postgres 4 &
repeat deadlock-a web 7 &
repeat deadlock-b web 7 &
wait $(jobs -p)

"$pg_bin/pg_ctl" --pgdata=data --mode=fast --wait --silent stop
mkdir -p "$(dirname "$output")"
gzip -9 --no-name --stdout data/log/postgresql.csv >"$output"
echo "record.sh: $(wc -l <data/log/postgresql.csv) lines, $(stat -c %s data/log/postgresql.csv) bytes," \
  "$(stat -c %s "$output") bytes compressed" >&2
