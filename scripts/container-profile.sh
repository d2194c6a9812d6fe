# shellcheck shell=sh
# For every shell in the container. A login shell sets PATH anew (the CLIs come last: agents can write there); a user without an
# entry in /etc/passwd has HOME=/, and gets a home that lasts as long as the data.
export PATH="$PATH:${NPM_CONFIG_PREFIX:-/opt/cache/npm}/bin"
if [ "${HOME:-/}" = / ] || [ ! -w "$HOME" ]; then
  export HOME="${SKILL_RUNNER_DATA_DIR:-/data}/home"
  mkdir -p "$HOME" 2>/dev/null || true
fi
