#!/usr/bin/env bash
# Start a throw-away single-node Ceph S3 server (radosgw) for tests.
# Usage: start-ceph.sh FOLDER PORT ACCESS_KEY SECRET_KEY
# Prints "ready http://127.0.0.1:PORT" once it answers, then runs until it is
# ended. Nothing outlives it. Objects live in the OSD's memory only.
# Needs (Debian 12): apt-get install --no-install-recommends radosgw ceph-mon ceph-osd
set -euo pipefail

if [ $# -ne 4 ]; then
  echo "usage: ${0##*/} FOLDER PORT ACCESS_KEY SECRET_KEY" >&2
  exit 2
fi

# Re-run ourselves so that the kernel sends us SIGTERM when our parent dies.
if [ "${START_CEPH_PARENT:-}" = "" ]; then
  START_CEPH_PARENT=$PPID exec setpriv --pdeathsig TERM -- bash "$0" "$@"
fi
# The parent died before that took hold: no signal will come, so stop now.
[ "$START_CEPH_PARENT" = "$PPID" ] || exit 1
unset START_CEPH_PARENT
# Ignore settings from outside that would point us at another cluster.
unset CEPH_CONF CEPH_ARGS CEPH_KEYRING

folder=$1 port=$2 access_key=$3 secret_key=$4
limit=${START_CEPH_TIMEOUT:-60}

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
if [ -n "$(ls -A "$folder")" ]; then
  echo "start-ceph: $folder is not empty" >&2
  exit 2
fi

pids=()
# Called by the EXIT trap. SIGKILL, as there is no state worth saving.
# shellcheck disable=SC2317
stop() {
  trap - EXIT
  trap '' TERM INT HUP
  [ ${#pids[@]} -eq 0 ] || kill -KILL "${pids[@]}" 2>/dev/null || true
  wait 2>/dev/null
}
trap stop EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
trap 'exit 129' HUP

fail() {
  echo "start-ceph: $1" >&2
  tail -n 15 "$folder"/*.log >&2 2>/dev/null || true
  exit 1
}

# Run NAME COMMAND... in the background, logged to NAME.log. It gets SIGKILL
# from the kernel if this script dies without running its traps.
spawn() {
  local name=$1
  shift
  setpriv --pdeathsig KILL -- "$@" </dev/null >>"$folder/$name.log" 2>&1 &
  pids+=($!)
}

# Run a short COMMAND to its end. Fails at once if a daemon, or the timer, ends
# first: the command would hang then. Not in the foreground, where bash would
# hold back our traps, and not under `timeout`, which would outlive us.
run() {
  local ended
  spawn setup "$@"
  if ! wait -n -p ended "${pids[@]}" || [ "$ended" != "$!" ]; then
    fail "failed or hung: $*"
  fi
  unset 'pids[-1]'
}

all_alive() {
  local pid
  for pid in "${pids[@]}"; do
    kill -0 "$pid" 2>/dev/null || fail "a daemon ended, or not ready in $limit s"
  done
}

port_used() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# radosgw would only find this out at the very end.
! port_used "$port" || fail "port $port is in use"
# The monitor cannot look for a free port itself; the OSD can. Stay below the
# range the kernel gives to outgoing connections (32768 and up).
mon_port=$((20000 + SRANDOM % 10000))
while port_used "$mon_port"; do mon_port=$((20000 + SRANDOM % 10000)); done

fsid=$(</proc/sys/kernel/random/uuid)
conf=$folder/ceph.conf
cat >"$conf" <<END
[global]
fsid = $fsid
mon host = [v2:127.0.0.1:$mon_port]
ms bind msgr1 = false
auth cluster required = none
auth service required = none
auth client required = none
run dir = $folder
crash dir = $folder
# No admin sockets: unix socket paths must be short, FOLDER may not be.
admin socket =
pid file =
log file =
log to stderr = true
err to stderr = true
debug rocksdb = 1
mon cluster log to file = false
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon max pg per osd = 1000

[mon]
mon data = $folder/mon
# This, too, is how the monitor finds that it is the one in "mon host".
public addrv = [v2:127.0.0.1:$mon_port/0]
# By default each map change waits up to 1 s; starting makes some 15 of them.
paxos propose interval = 0.02
paxos min wait = 0.01
mon data avail warn = 1
mon data avail crit = 0

[osd]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
osd data = $folder/osd
osd objectstore = memstore
memstore device bytes = 8589934592
osd op num shards = 2
osd op num threads per shard = 1

[client]
# Without tcp_nodelay, answers with a body take 40 ms.
rgw frontends = beast endpoint=127.0.0.1:$port tcp_nodelay=1
rgw data = $folder/rgw
# Now and then a client misses a map change and only asks again at its next
# tick: by default 5 s, which half of all starts waited for.
objecter tick interval = 0.2
# radosgw asks for encryption by default, which needs keys: it would hang.
ms mon client mode = crc
rgw thread pool size = 32
# One shard of each internal list is enough, and much faster to set up.
rgw override bucket index max shards = 1
rgw dynamic resharding = false
rgw num control oids = 1
rgw gc max objs = 1
rgw lc max objs = 1
rgw objexp hints num shards = 1
rgw reshard num logs = 1
rgw data log num shards = 1
rgw md log max shards = 1
rgw run sync thread = false
rgw enable lc threads = false
rgw enable quota threads = false
# Free the memory of deleted and replaced objects soon, not after 2 hours.
rgw gc obj min wait = 60
rgw gc processor period = 60
END
mkdir "$folder/mon" "$folder/osd" "$folder/rgw"

# The timer: it is watched like a daemon until all is ready.
spawn setup sleep "$limit"
# A first OSD map that knows osd.0 already: saves running the slow `ceph` tool.
run osdmaptool -c "$conf" --createsimple 1 "$folder/osdmap"
run ceph-mon -c "$conf" -i a --mkfs --osdmap "$folder/osdmap"
spawn mon ceph-mon -c "$conf" -i a -f
run ceph-osd -c "$conf" -i 0 --mkfs
spawn osd ceph-osd -c "$conf" -i 0 -f
run radosgw-admin -c "$conf" user create --uid=test --display-name=test \
  --access-key="$access_key" --secret-key="$secret_key"
spawn rgw radosgw -c "$conf" -n client.rgw -f

until { exec 3<>"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null; do
  all_alive
  sleep 0.1
done
exec 3>&-
# The timer is first in the list.
kill "${pids[0]}"
wait "${pids[0]}" 2>/dev/null || true
pids=("${pids[@]:1}")
echo "ready http://127.0.0.1:$port"

# Run on until a daemon ends, which none should, or a signal comes.
wait -n "${pids[@]}" || true
fail "a daemon ended"
