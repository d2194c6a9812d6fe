#!/bin/sh
# What the container runs: makes the folders and links that agents need, then becomes the server (or the command given).
# Nothing here keeps the server from starting; every problem is one line.
set -eu

app=$(cd "$(dirname "$0")/.." && pwd)
data=${SKILL_RUNNER_DATA_DIR:-/data}
export SKILL_RUNNER_DATA_DIR="$data"

say() { echo "entrypoint: $*" >&2; }

# 1. Folders, and a home.
[ -d "$data" ] || mkdir -p "$data" 2>/dev/null || true
uid=$(id -u)
if [ -w "$data" ]; then
  # What another user made in there before, such as root.
  for folder in "$data/state" "$data/runs" "$data/home"; do
    [ ! -e "$folder" ] || [ -w "$folder" ] || say "WARNING: $folder cannot be written to by uid $uid: jobs will be refused. Give all of it to that user: chown -R $uid <the mounted folder>"
  done
elif [ "$uid" -eq 0 ]; then
  say "WARNING: $data cannot be written to, not even by root: the server cannot start. Is it mounted read-only, or kept from containers by SELinux (:z behind the mount lets them in)?"
else
  say "WARNING: $data cannot be written to by uid $uid: the server cannot start. Change the owner of the mounted folder, or user: in the compose file."
fi
. "$app/scripts/container-profile.sh"
for folder in "${NPM_CONFIG_PREFIX:-/opt/cache/npm}" "${UV_CACHE_DIR:-/opt/cache/uv_cache}"; do
  mkdir -p "$folder" 2>/dev/null || true
  [ -w "$folder" ] || say "WARNING: $folder cannot be written to by uid $uid: no CLI can be installed or upgraded"
done

# 2. Settings and logins: ~/.codex and the like become links to the mounted folder; files an agent needs are written where missing.
"$app/scripts/agent_manager.sh" --bootstrap >&2 || say "WARNING: the agents' settings could not be linked; see above"
# Whoever owns the mounted folder on the host can copy logins into it. What CLIs keep there for a moment stays theirs: codex's
# sandbox, in which root may not do everything, starts a program of its own from there.
config=${SKILL_RUNNER_AGENT_CONFIG_DIR:-/opt/config}
if [ "$uid" -eq 0 ] && [ "$(stat -c %u "$config" 2>/dev/null || echo 0)" -ne 0 ]; then
  find "$config" -user 0 -not -path '*/tmp/*' -exec chown -h --reference="$config" {} + 2>/dev/null || true
fi

# 3. The sandbox: Landlock came with Linux 5.13. Whether it works here, the server tries itself.
if [ -z "${LANDLOCK_ENABLED:-}" ]; then
  kernel=$(uname -r)
  major=${kernel%%.*}
  rest=${kernel#*.}
  minor=${rest%%[!0-9]*}
  if [ "$major" -gt 5 ] || { [ "$major" -eq 5 ] && [ "${minor:-0}" -ge 13 ]; }; then LANDLOCK_ENABLED=1; else LANDLOCK_ENABLED=0; fi
  export LANDLOCK_ENABLED
  say "kernel $kernel: LANDLOCK_ENABLED=$LANDLOCK_ENABLED"
fi

# 4. A command of the operator's, such as npm install -g ...
if [ $# -gt 0 ]; then exec "$@"; fi

# 5. Missing CLIs are installed beside the running server: GET /v1/engines shows them when they are there. In a subshell, so that
#    they are tini's children and not the server's.
if [ "${SKILL_RUNNER_BOOTSTRAP_ENGINES:-all}" != none ]; then
  ("$app/scripts/agent_manager.sh" --ensure </dev/null >&2 &)
fi

exec node "$app/dist/runtime/main.js"
