# shellcheck shell=bash
# What the kind-*.sh scripts share; sourced, not run. They touch no cluster but the one they made, and no kubeconfig but
# their own.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/.." && pwd)
cluster=${ROLLCALL_KIND_CLUSTER:-rollcall}
# shellcheck disable=SC2034 # for the scripts that source this
image=${ROLLCALL_IMAGE:-rollcall:kind}
run_dir="$repository/.run/kind-$cluster"
kubeconfig="$run_dir/kubeconfig"
mark=made-by-rollcall

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }

# Exit code 3: cannot run here.
require() {
  for tool in docker kind kubectl; do
    command -v "$tool" >/dev/null || { say "$tool is not installed"; exit 3; }
  done
  docker info >/dev/null 2>&1 || { say "docker is installed, but no engine answers (docker info)"; exit 3; }
  mkdir -p "$run_dir"
}

k() { kubectl --kubeconfig "$kubeconfig" "$@"; }

exists() { kind get clusters 2>/dev/null | grep -qxF "$cluster"; }

# Fetches the credentials of the existing cluster, and refuses one that somebody else made under this name.
attach() {
  exists || { say "no kind cluster '$cluster'; hack/kind-up.sh makes it"; exit 1; }
  kind export kubeconfig --name "$cluster" --kubeconfig "$kubeconfig" --quiet
  k --namespace kube-system get configmap "$mark" >/dev/null 2>&1 ||
    { say "kind cluster '$cluster' was not made by hack/kind-up.sh; choose another name with ROLLCALL_KIND_CLUSTER"; exit 1; }
}
