#!/usr/bin/env bash
# Tools beside the server; --help says which.
set -euo pipefail

# shellcheck source=scripts/run-built.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/run-built.sh"
run_built cli.js "$@"
