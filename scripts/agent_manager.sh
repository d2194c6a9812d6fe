#!/usr/bin/env bash
# Installs, upgrades and looks at the agent CLIs; --help says how.
set -euo pipefail

# shellcheck source=scripts/run-built.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/run-built.sh"
run_built agent-manager.js "$@"
