# shellcheck shell=bash
# Sourced by the scripts that are one of the built programs. Works from any folder, in a checkout and in the image.

# Becomes a program of dist/runtime. $1: its file; the rest: its arguments.
run_built() {
  local root entry
  root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
  entry=$root/dist/runtime/$1
  shift
  # In the image, where a user may have no home.
  if [ -f "$root/scripts/container-profile.sh" ] && [ ! -e "$root/.git" ]; then
    # shellcheck source=scripts/container-profile.sh
    . "$root/scripts/container-profile.sh"
  fi
  # Relative settings start from the project folder, as with npm start.
  cd "$root" || return
  # A checkout is built when that is missing or out of date; an image comes built.
  if [ -e "$root/.git" ] || [ ! -f "$entry" ]; then
    node "$root/scripts/ensure.mjs" --build >&2
  fi
  exec node "$entry" "$@"
}
