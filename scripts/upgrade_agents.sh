#!/usr/bin/env bash
# Upgrades the agent CLIs: in the container directly, on a host in the container of the compose file.
set -euo pipefail

here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)

if command -v docker >/dev/null && docker compose version >/dev/null 2>&1; then
  cd "$here/.."
  docker compose run --rm skill-runner sh -lc "/app/scripts/agent_manager.sh --upgrade"
else
  "$here/agent_manager.sh" --upgrade
fi
echo "Done"
