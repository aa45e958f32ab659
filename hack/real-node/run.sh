#!/usr/bin/env bash
# A real node with real containers, without Docker: brings it up, runs a command beside it (kubectl on the PATH, KUBECONFIG
# set; without a command: a shell) and ends it all. Needs root on Linux.
#
#   hack/real-node/run.sh kubectl get nodes
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
node="$here/../../node_modules/.bin/node"
[[ -x $node ]] || { echo "real-node: run npm ci first" >&2; exit 3; }
# Built outside: the sandbox has no way out to fetch modules.
"$here/../tools/build.sh" --with-kubelet >/dev/null
exec "$here/sandbox.sh" "$node" "$here/run.ts" "$@"
