#!/usr/bin/env bash
# Builds the image with buildah: from node:24-slim, or with --debian on a Debian root that is made on the spot, for a machine that reaches
# no registry of images. That needs root, debootstrap, node 24 and npm.
#
#   packages/server/deploy/build-image.sh [--debian] [NAME]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."

base=docker.io/library/node:24-slim
if [ "${1:-}" = --debian ]; then
  shift
  base=localhost/fileio-node
  root=$(mktemp -d)
  trap 'rm -rf "$root"' EXIT
  debootstrap --variant=minbase --include=ca-certificates bookworm "$root/debian" > /dev/null
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$root/debian" / > /dev/null
  buildah add --quiet "$container" "$(node -p process.execPath)" /usr/local/bin/node > /dev/null
  buildah add --quiet "$container" "$(dirname "$(readlink -f "$(command -v npm)")")/.." /usr/local/lib/node_modules/npm > /dev/null
  buildah run "$container" -- sh -c 'cd /usr/local/bin && for name in npm npx; do ln -s ../lib/node_modules/npm/bin/$name-cli.js $name; done && useradd --create-home node'
  buildah config --cmd /usr/local/bin/node "$container"
  buildah commit --quiet --rm "$container" "$base" > /dev/null
fi

# npm's registry and certificate are for the build, and in no layer.
npmrc=$(mktemp -d)
trap 'rm -rf "$npmrc" ${root:+"$root"}' EXIT
echo "registry=$(npm config get registry)" > "$npmrc/npmrc"
image_home=/root # of the user who builds in the image
settings=(--volume "$npmrc/npmrc:$image_home/.npmrc:ro")
cafile=${NODE_EXTRA_CA_CERTS:-$(npm config get cafile)}
if [ -f "$cafile" ]; then
  echo "cafile=/etc/ssl/build-ca.pem" >> "$npmrc/npmrc"
  settings+=(--volume "$cafile:/etc/ssl/build-ca.pem:ro")
fi
buildah build --quiet --format docker "${settings[@]}" --build-arg "BASE=$base" --ignorefile packages/server/deploy/Dockerfile.dockerignore \
  --file packages/server/deploy/Dockerfile --tag "${1:-fileio-server}" .
