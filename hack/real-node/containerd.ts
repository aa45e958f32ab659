// A containerd of our own (root, state and socket in the run folder; the machine's own is neither used nor touched), with
// the hand-made images imported, and the one thing tests ask of it: the process of a container.

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ControlPlane } from '../control-plane/control-plane.ts';
import type { OwnedProcess } from '../control-plane/owned-process.ts';
import { run } from './command.ts';
import { pauseImage, writeImageArchive } from './images.ts';
import { type CniPaths, writeCniConfig } from './network.ts';

export type Containerd = {
  readonly process: OwnedProcess;
  readonly socket: string;
  /** The process id, in the sandbox, of a container's first process. `id` is the part after `containerd://` in a pod's status. */
  readonly containerPid: (id: string) => Promise<number>;
};

export const startContainerd = async (controlPlane: ControlPlane, dir: string): Promise<Containerd> => {
  const imageDir = join(dir, 'images');
  await mkdir(imageDir, { recursive: true });
  const archive = await writeImageArchive(imageDir);
  const socket = join(dir, 'containerd.sock');
  const configPath = join(dir, 'config.toml');
  await writeFile(configPath, configuration(dir, socket, await writeCniConfig(dir)));
  const ctr = (...args: string[]) => run('ctr', ['--address', socket, '--namespace', 'k8s.io', ...args]);

  const process = await controlPlane.start({
    name: 'containerd',
    command: 'containerd',
    args: ['--config', configPath],
    ready: async () => (await ctr('version')).stdout.includes('Server:'),
  });
  await ctr('images', 'import', '--snapshotter', 'overlayfs', archive);
  return {
    process,
    socket,
    containerPid: async (id) => {
      const rows = (await ctr('tasks', 'list')).stdout.split('\n').map((line) => line.trim().split(/\s+/));
      const pid = Number(rows.find(([task, , state]) => task === id && state === 'RUNNING')?.[1]);
      if (!Number.isSafeInteger(pid) || pid < 2) throw new Error(`no running container ${id}`);
      return pid;
    },
  };
};

const configuration = (dir: string, socket: string, cni: CniPaths): string => `version = 2
root = "${join(dir, 'root')}"
state = "${join(dir, 'state')}"
[grpc]
  address = "${socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pauseImage}"
  # No CAP_SYS_RESOURCE on some machines: a score below the parent's cannot be set there.
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${cni.binDir}"
    conf_dir = "${cni.confDir}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
`;
