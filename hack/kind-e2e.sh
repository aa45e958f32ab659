#!/usr/bin/env bash
# Installs the operator into the kind cluster as users do (crds/, manifests/install.yaml, with the image of
# hack/kind-load.sh), and tells the end-to-end stories against it. Exit code 0 when every verdict is a pass.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=kind-common.sh
. "$(dirname "${BASH_SOURCE[0]}")/kind-common.sh"
require
attach
node="$repository/node_modules/.bin/node"
[[ -x $node ]] || { say "no $node; run npm ci first"; exit 3; }

k apply --server-side -f "$repository/crds"
k wait --for=condition=Established --timeout=60s crd --all
# The image set below would be a conflict at the second time.
k apply --server-side --force-conflicts -f "$repository/manifests/install.yaml"

operator=$(k get deployments --all-namespaces --selector app.kubernetes.io/name=rollcall \
  --output jsonpath='{range .items[*]}{.metadata.namespace} {.metadata.name}{"\n"}{end}')
read -r namespace deployment <<<"$operator"
[[ -n ${deployment:-} ]] || { say "manifests/install.yaml brought no Deployment labelled app.kubernetes.io/name=rollcall"; exit 1; }
k --namespace "$namespace" set image "deployment/$deployment" "*=$image"
k --namespace "$namespace" set env "deployment/$deployment" ROLLCALL_NATS_URL=nats://nats.nats:4222
# The same tag may hold another image than last time.
k --namespace "$namespace" rollout restart "deployment/$deployment"
k --namespace "$namespace" rollout status "deployment/$deployment" --timeout=180s

forward_log="$run_dir/port-forward.log"
# Not through the function: $! would be its shell.
kubectl --kubeconfig "$kubeconfig" --namespace nats port-forward service/nats :4222 >"$forward_log" 2>&1 &
forward=$!
trap 'kill "$forward" 2>/dev/null || true' EXIT
port=""
for _ in {1..100}; do
  port=$(sed -n 's/^Forwarding from 127\.0\.0\.1:\([0-9]*\) .*/\1/p' "$forward_log")
  [[ -z $port ]] || break
  sleep 0.1
done
[[ -n $port ]] || { say "kubectl port-forward to NATS does not come up: $(tail -1 "$forward_log")"; exit 1; }

"$node" "$repository/test/e2e/on-kind.ts" --kubeconfig "$kubeconfig" --nats-url "nats://127.0.0.1:$port"
