#!/usr/bin/env bash
# Deletes the kind cluster that hack/kind-up.sh made, and nothing else.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=kind-common.sh
. "$(dirname "${BASH_SOURCE[0]}")/kind-common.sh"
require

if exists; then
  attach
  kind delete cluster --name "$cluster" --kubeconfig "$kubeconfig"
else
  say "no kind cluster '$cluster'"
fi
rm -rf "$run_dir"
