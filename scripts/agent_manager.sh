#!/usr/bin/env bash
# Installs, upgrades and looks at the agent CLIs; --help says how. Works from any folder, in a checkout and in the image.
set -euo pipefail

root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
entry=$root/dist/runtime/agent-manager.js

# In the image, where a user may have no home.
if [ -f "$root/scripts/container-profile.sh" ] && [ ! -e "$root/.git" ]; then
  # shellcheck source=scripts/container-profile.sh
  . "$root/scripts/container-profile.sh"
fi

# Relative settings start from the project folder, as with npm start.
cd "$root"
# A checkout is built when that is missing or out of date; an image comes built.
if [ -e "$root/.git" ] || [ ! -f "$entry" ]; then
  node "$root/scripts/ensure.mjs" --build >&2
fi
exec node "$entry" "$@"
