#!/usr/bin/env bash
# Makes the kind cluster (one control plane, two workers) with a nats-server in namespace nats, or completes the one that
# is there. `--exists`: only says by its exit code whether the cluster is there.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=kind-common.sh
. "$(dirname "${BASH_SOURCE[0]}")/kind-common.sh"
require

if [[ ${1:-} == --exists ]]; then
  exists
  exit
fi

if exists; then
  attach
  say "cluster '$cluster' is there"
else
  kind create cluster --name "$cluster" --kubeconfig "$kubeconfig" --wait 180s --config - <<'YAML'
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
  - role: control-plane
  - role: worker
  - role: worker
YAML
  k --namespace kube-system create configmap "$mark"
fi

# 2.12.1 is the oldest server that Rollcall accepts; the floating tag is later than that.
k apply -f - <<YAML
apiVersion: v1
kind: Namespace
metadata: { name: nats }
---
apiVersion: v1
kind: Service
metadata: { name: nats, namespace: nats }
spec:
  selector: { app: nats }
  ports: [{ name: client, port: 4222, targetPort: client }]
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: nats, namespace: nats }
spec:
  replicas: 1
  # Two servers would be two registries.
  strategy: { type: Recreate }
  selector: { matchLabels: { app: nats } }
  template:
    metadata: { labels: { app: nats } }
    spec:
      # Beside the control plane: the stories lose a worker, and not the registry with it.
      nodeSelector: { node-role.kubernetes.io/control-plane: "" }
      tolerations: [{ key: node-role.kubernetes.io/control-plane, operator: Exists }]
      containers:
        - name: nats
          image: ${ROLLCALL_NATS_IMAGE:-nats:2.12-alpine}
          args: ["--jetstream", "--store_dir", "/data"]
          ports: [{ name: client, containerPort: 4222 }]
          readinessProbe: { tcpSocket: { port: client }, periodSeconds: 1 }
          volumeMounts: [{ name: data, mountPath: /data }]
      volumes: [{ name: data, emptyDir: {} }]
YAML
k --namespace nats rollout status deployment/nats --timeout=180s
say "KUBECONFIG=$kubeconfig"
