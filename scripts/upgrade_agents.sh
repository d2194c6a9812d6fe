#!/usr/bin/env bash
# Upgrades the agent CLIs: where the repository has a compose file and docker compose works, in its container; else here.
set -euo pipefail

root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)

has_compose_file() {
  local name
  for name in compose.yaml compose.yml docker-compose.yaml docker-compose.yml; do
    if [[ -f "$root/$name" ]]; then return 0; fi
  done
  return 1
}

if has_compose_file && docker compose version >/dev/null 2>&1; then
  cd "$root"
  docker compose run --rm skill-runner sh -lc "/app/scripts/agent_manager.sh --upgrade"
else
  "$root/scripts/agent_manager.sh" --upgrade
fi
echo "Done"
