#!/usr/bin/env bash
# Builds the servers that the tests and `make up` run (etcd, the Kubernetes control plane, kwok, nats-server) from the
# Go modules pinned by go.sum, into a cache outside the tree. Prints that folder as the last line on stdout; says what
# it does on stderr. It starts nothing, and touches nothing when every binary is already there.
#
#   hack/tools/build.sh [--with-kubelet | --all]
#
# Ready binaries in KUBEBUILDER_ASSETS are linked instead of built where they are new enough.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tools="etcd kube-apiserver kube-controller-manager kube-scheduler kubectl kwok nats-server nats-server-old"
go_needed_minor=26

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "build.sh: $*"
  exit 1
}

for argument in "$@"; do
  case $argument in
    --with-kubelet | --all) tools="$tools kubelet" ;;
    *) fail "unknown argument '$argument'; usage: hack/tools/build.sh [--with-kubelet | --all]" ;;
  esac
done

# macOS has shasum instead of sha256sum.
sha256() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi; }
pins=$(cat "$here/go.mod" "$here/go.sum" | sha256)
dir="${XDG_CACHE_HOME:-$HOME/.cache}/rollcall/tools/${pins:0:16}"

# find_missing sets $missing (the tools that are not there yet, space before each) and $present (how many are).
find_missing() {
  missing="" present=0
  for tool in $tools; do
    if [[ -x $dir/$tool ]]; then present=$((present + 1)); else missing="$missing $tool"; fi
  done
}

find_missing
if [[ -z $missing ]]; then
  echo "$dir"
  exit 0
fi

# One build at a time: the linker takes 2 GB, and several test files may ask at once. A lock directory works on macOS
# too, where flock(1) does not exist. The lock of a dead process is taken over.
mkdir -p "$dir"
lock="$dir/.lock"
waited=0
until mkdir "$lock" 2>/dev/null; do
  holder=$(cat "$lock/pid" 2>/dev/null || true)
  if [[ $waited -ge 2 ]] && { [[ -z $holder ]] || ! kill -0 "$holder" 2>/dev/null; }; then
    rm -rf "$lock"
    continue
  fi
  if ((waited % 15 == 0)); then say "tools: waiting for the build of process ${holder:-unknown} (${waited} s)"; fi
  sleep 1
  waited=$((waited + 1))
done
echo $$ >"$lock/pid"
staging="$dir/.staging.$$"
build_pid=""
cleanup() {
  if [[ -n $build_pid ]]; then kill "$build_pid" 2>/dev/null || true; fi
  rm -rf "$staging" "$lock"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir -p "$staging"
for leftover in "$dir"/.staging.*; do
  [[ $leftover == "$staging" ]] || rm -rf "$leftover"
done

find_missing
if [[ $present -gt 0 && -n $missing ]]; then
  say "tools: $dir lacks$missing (an earlier build did not finish, or did not need it); adding that"
fi

# new_enough VERSION_TEXT MAJOR MINOR: the first x.y in the text is at least MAJOR.MINOR.
new_enough() {
  [[ $1 =~ ([0-9]+)\.([0-9]+) ]] || return 1
  ((BASH_REMATCH[1] > $2 || (BASH_REMATCH[1] == $2 && BASH_REMATCH[2] >= $3)))
}

# take_ready TOOL VERSION_ARGUMENTS MAJOR MINOR: links the binary of KUBEBUILDER_ASSETS if it is new enough.
take_ready() {
  local ready="${KUBEBUILDER_ASSETS:-}/$1"
  [[ -n ${KUBEBUILDER_ASSETS:-} && -x $ready && ! -x $dir/$1 ]] || return 0
  # shellcheck disable=SC2086 # the arguments are ours and meant to be split
  if new_enough "$("$ready" $2 2>/dev/null | head -1)" "$3" "$4"; then
    ln -sf "$ready" "$dir/$1"
    say "tools: $1 from KUBEBUILDER_ASSETS"
  else
    say "tools: $1 in KUBEBUILDER_ASSETS is older than $3.$4 and not used"
  fi
}
take_ready kube-apiserver --version 1 36
take_ready kubectl "version --client" 1 36
take_ready etcd --version 3 6

find_missing
if [[ -z $missing ]]; then
  echo "$dir"
  exit 0
fi

# A Go of 1.21 or later fetches the toolchain that go.mod asks for by itself, where it may.
command -v go >/dev/null || fail "Go is not installed; install Go 1.$go_needed_minor or later (https://go.dev/dl/), it builds the test servers."
go_version=$(cd "$here" && { go env GOVERSION 2>/dev/null || true; })
new_enough "$go_version" 1 "$go_needed_minor" ||
  fail "$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null || echo 'this Go') is too old; install Go 1.$go_needed_minor or later (https://go.dev/dl/), it builds the test servers."

package_of() {
  case $1 in
    etcd) echo go.etcd.io/etcd/server/v3 ;;
    kwok) echo sigs.k8s.io/kwok/cmd/kwok ;;
    nats-server | nats-server-old) echo github.com/nats-io/nats-server/v2 ;;
    *) echo "k8s.io/kubernetes/cmd/$1" ;;
  esac
}

# Without these the API server reports v0.0.0 and clients refuse to talk to it.
kubernetes=$(sed -n 's/^[[:space:]]*k8s\.io\/kubernetes \(v[0-9.]*\).*/\1/p' "$here/go.mod" | head -1)
new_enough "$kubernetes" 0 0 || fail "no version of k8s.io/kubernetes in $here/go.mod"
stamp="k8s.io/component-base/version"
ldflags="-s -w -X $stamp.gitVersion=$kubernetes -X $stamp.gitMajor=${BASH_REMATCH[1]} -X $stamp.gitMinor=${BASH_REMATCH[2]}"

count=0
for tool in $missing; do count=$((count + 1)); done
say "tools: building $count into $dir (all of them take 5 to 12 minutes the first time on two cores; cached after)"

number=0
for tool in $missing; do
  number=$((number + 1))
  module=$here
  if [[ $tool == nats-server-old ]]; then module=$here/old; fi
  say "tools: $tool ($number of $count), $SECONDS s"
  (
    cd "$module"
    export CGO_ENABLED=0 GOWORK=off GOFLAGS="-mod=readonly -buildvcs=false"
    exec go build -trimpath -ldflags "$ldflags" -o "$staging/$tool" "$(package_of "$tool")"
  ) >"$staging/log" 2>&1 &
  build_pid=$!
  started=$SECONDS
  said=$SECONDS
  while kill -0 "$build_pid" 2>/dev/null; do
    sleep 0.2
    if ((SECONDS - said >= 15)); then
      said=$SECONDS
      say "tools: $tool ($number of $count), $((SECONDS - started)) s on it, $SECONDS s in all"
    fi
  done
  if ! wait "$build_pid"; then
    build_pid=""
    tail -20 "$staging/log" >&2
    fail "building $tool failed (go's own words stand above)"
  fi
  build_pid=""
  # Renamed only when complete, so that an interrupted build leaves whole binaries or none.
  mv "$staging/$tool" "$dir/$tool"
done
say "tools: all there after $SECONDS s"
echo "$dir"
