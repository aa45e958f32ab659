#!/usr/bin/env bash
# Builds the operator's image from this checkout and loads it into the kind cluster.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=kind-common.sh
. "$(dirname "${BASH_SOURCE[0]}")/kind-common.sh"
require
attach

docker build --tag "$image" "$repository"
kind load docker-image "$image" --name "$cluster"
