// A control plane with one real node in the sandbox: kube-apiserver and friends as processes, containerd, a kubelet. It is
// ended by its own process ids; what those leave (shims, containers, mounts) ends with the sandbox.

import { readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type ControlPlane, startControlPlane } from '../control-plane/control-plane.ts';
import { createNodes } from '../control-plane/nodes.ts';
import { toolsDir } from '../control-plane/tools.ts';
import { makeGroups } from './cgroups.ts';
import { startContainerd } from './containerd.ts';
import { appImage } from './images.ts';
import { type KubeletSpec, startKubelet } from './kubelet.ts';
import { makeBridge, nodeAddress } from './network.ts';

export type RealNode = {
  readonly controlPlane: ControlPlane;
  readonly kubectl: string;
  readonly name: string;
  /** An image with a shell, for pods of the tests. */
  readonly appImage: string;
  /** SIGKILL to the first process of a container; `id` as in a pod's status (`containerd://...`). */
  readonly killContainer: (id: string) => Promise<void>;
  /** SIGKILL to the kubelet: the node is lost, its containers run on. */
  readonly killKubelet: () => Promise<void>;
  /** Starts the kubelet again after `killKubelet`; pods and node become Ready in their own time. */
  readonly restartKubelet: () => Promise<void>;
  readonly stop: () => Promise<void>;
};

export type RealNodeOptions = {
  /** Data of the control plane, and the logs of all processes; made if absent, never removed here. */
  readonly dir: string;
  /** Further nodes, played by kwok and closed to pods, so that one lost node is not the loss of most nodes. Default 0. */
  readonly companions?: number;
  readonly signal?: AbortSignal;
};

const name = 'real-node';
/** In the sandbox's private tmpfs. */
const runDir = '/run/rollcall';

/** Needs the sandbox; resolves when the node is Ready. On failure everything started is ended. */
export const startRealNode = async ({ dir, companions = 0, signal }: RealNodeOptions): Promise<RealNode> => {
  if (!(await inSandbox())) throw new Error('a real node runs only inside hack/real-node/sandbox.sh');
  const tools = await toolsDir({ kubelet: true, signal });
  await makeGroups();
  await makeBridge();
  const controlPlane = await startControlPlane({
    dir,
    address: nodeAddress,
    // So that exec and logs find the kubelet.
    apiServerArgs: ['--kubelet-preferred-address-types=InternalIP'],
    kwok: companions > 0,
    signal,
  });
  try {
    for (const companion of await createNodes(controlPlane.api(), companions, { prefix: 'companion', signal })) {
      await controlPlane.api().patch(`/api/v1/nodes/${companion}`, { spec: { unschedulable: true } });
    }
    const containerd = await startContainerd(controlPlane, join(runDir, 'containerd'));
    const spec: KubeletSpec = {
      binary: join(tools, 'kubelet'),
      nodeName: name,
      criSocket: containerd.socket,
      dir: join(runDir, 'kubelet'),
    };
    const kubelet = await startKubelet(controlPlane, spec);
    return {
      controlPlane,
      kubectl: join(tools, 'kubectl'),
      name,
      appImage,
      killContainer: async (id) => {
        process.kill(await containerd.containerPid(id.replace('containerd://', '')), 'SIGKILL');
      },
      killKubelet: () => kubelet.kill('SIGKILL'),
      restartKubelet: () => kubelet.restart(signal),
      stop: () => controlPlane.stop(),
    };
  } catch (error) {
    await controlPlane.stop();
    throw error;
  }
};

/** The sandbox's processes share a process namespace with a process 1 that is not the machine's. */
const inSandbox = async (): Promise<boolean> => {
  if (process.env['ROLLCALL_SANDBOX'] === undefined) return false;
  return (await readlink('/proc/self/ns/pid')) === (await readlink('/proc/1/ns/pid'));
};
