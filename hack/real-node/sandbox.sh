#!/usr/bin/env bash
# Runs a command as root in mount, network and process namespaces of its own, with what a container runtime and a kubelet
# need around them. When the command ends, or this script is killed in any way, the kernel ends every process, mount and
# network device in there; what is left (control groups, empty folders) goes at the end, or at the start of the next run.
#
#   hack/real-node/sandbox.sh COMMAND [ARGUMENT...]      exit code: the command's; 3 when it cannot run here
set -euo pipefail

lock=/run/lock/rollcall-real-node.lock
made=/run/lock/rollcall-real-node.made
group=rollcall-node
# Fixed paths of the kubelet, the controller manager and the CNI library: private tmpfs mounts inside, so that nothing of the host's is seen.
covered="/run /var/lib/cni /var/lib/kubelet /var/log/containers /var/log/pods /etc/cni /usr/libexec/kubernetes"

refuse() {
  echo "real-node: cannot run here: $*" >&2
  exit 3
}

[[ $# -gt 0 ]] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[[ $(uname -s) == Linux ]] || refuse "this is $(uname -s), a kubelet needs Linux"
[[ $(id -u) == 0 ]] || refuse "not root"
for tool in unshare setpriv flock ip mount; do
  command -v "$tool" >/dev/null || refuse "no $tool (Debian: util-linux, iproute2)"
done
# Ends with its parent, also when that is killed by -9.
if [[ -z ${ROLLCALL_SANDBOX_ATTACHED:-} ]]; then
  ROLLCALL_SANDBOX_ATTACHED=1 exec setpriv --pdeathsig TERM "${BASH_SOURCE[0]}" "$@"
fi
unset ROLLCALL_SANDBOX_ATTACHED
unshare --mount --net --pid --fork true 2>/dev/null || refuse "new namespaces are not allowed (CAP_SYS_ADMIN is missing)"
[[ -w /sys/fs/cgroup/cgroup.procs || -w /sys/fs/cgroup/memory/cgroup.procs ]] || refuse "control groups cannot be written"
grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null || refuse "this kernel has no overlay file system"

missing_packages() {
  command -v containerd >/dev/null && command -v ctr >/dev/null || echo containerd
  command -v runc >/dev/null || echo runc
  [[ -x /usr/lib/cni/bridge || -x /opt/cni/bin/bridge ]] || echo containernetworking-plugins
  # busybox of the package "busybox" is linked dynamically and would not start in an image without libraries.
  { command -v busybox >/dev/null && ! ldd "$(command -v busybox)" >/dev/null 2>&1; } || echo busybox-static
}

missing=$(missing_packages | tr '\n' ' ')
if [[ -n $missing ]]; then
  command -v apt-get >/dev/null || refuse "missing: ${missing% } (and no apt-get to install it)"
  echo "real-node: installing ${missing% }(apt-get)" >&2
  log=$(mktemp)
  # --no-remove: a package that would push out one of the machine's own is not installed.
  # shellcheck disable=SC2086 # a list of package names, meant to be split
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends --no-remove $missing; } \
    >"$log" 2>&1 </dev/null || { tail -5 "$log" >&2; rm -f "$log"; refuse "apt-get could not install ${missing% }"; }
  rm -f "$log"
fi

# Held by this process alone: the kernel lets go of it however the script ends.
mkdir -p /run/lock
exec 9>"$lock"
flock --nonblock 9 || refuse "another real node is running on this machine"

# Every process of an earlier run died with its namespace, so its groups are empty (for a moment still being emptied).
remove_groups() {
  local tries=0 left
  while :; do
    left=""
    for top in /sys/fs/cgroup "/sys/fs/cgroup"/*/; do
      [[ -d ${top%/}/$group ]] || continue
      find "${top%/}/$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
      [[ ! -d ${top%/}/$group ]] || left="$left ${top%/}/$group"
    done
    [[ -n $left ]] || return 0
    ((++tries < 50)) || { echo "real-node: control groups still in use:$left" >&2; return 0; }
    sleep 0.2
  done
}

remove_folders() {
  [[ -f $made ]] || return 0
  while read -r folder; do rmdir "$folder" 2>/dev/null || true; done <"$made"
  rm -f "$made"
}

clean() {
  # The signal may come again, from each process that this one is handed to, and must not cut this short.
  trap '' TERM HUP INT
  remove_groups
  remove_folders
}
clean
trap - TERM HUP INT

for folder in $covered; do
  [[ -d $folder ]] && continue
  echo "$folder" >>"$made"
  mkdir -p "$folder"
done

# Runs inside, as process 1: a shell, because it reaps what the container runtime leaves behind.
# shellcheck disable=SC2016 # expanded in there
inside='
set -eu
for folder in $ROLLCALL_SANDBOX; do mount -t tmpfs -o mode=755 rollcall "$folder"; done
mkdir -p /run/rollcall /run/lock
ip link set lo up
# The kubelet insists on these kernel settings. Its namespace shows it files that hold what it wants to read, so it has
# nothing to change: the settings belong to the whole machine.
pretend() {
  [ -e "/proc/sys/$1" ] || return 0
  file="/run/rollcall/sysctl.$(echo "$1" | tr / .)"
  echo "$2" >"$file"
  mount --bind "$file" "/proc/sys/$1"
}
pretend vm/overcommit_memory 1
pretend vm/panic_on_oom 0
pretend kernel/panic 10
pretend kernel/panic_on_oops 1
pretend kernel/keys/root_maxkeys 1000000
pretend kernel/keys/root_maxbytes 25000000
code=0
"$@" || code=$?
exit "$code"
'

child=""
trap clean EXIT
# Nothing inside outlives its namespace, so there is nothing to end gracefully. KILL, because unshare blocks TERM.
# shellcheck disable=SC2317 # called by the traps
end_child() { [[ -z $child ]] || kill -KILL "$child" 2>/dev/null || true; }
trap 'end_child; exit 143' TERM HUP
trap 'end_child; exit 130' INT

export ROLLCALL_SANDBOX=$covered
code=0
setpriv --pdeathsig KILL unshare --mount --net --pid --fork --kill-child --mount-proc sh -c "$inside" sandbox "$@" <&0 9>&- &
child=$!
wait "$child" || code=$?
exit "$code"
