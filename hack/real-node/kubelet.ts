// A real kubelet as a process of our own, configured for a sandbox on a plain machine: cgroup version 1 or 2 without
// systemd, no evictions, no iptables, no DNS. It can be killed and started again; its folder and its pods stay.

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { KubeObject } from '../control-plane/api-client.ts';
import type { ControlPlane } from '../control-plane/control-plane.ts';
import type { OwnedProcess } from '../control-plane/owned-process.ts';
import { groupName } from './cgroups.ts';
import { nodeAddress } from './network.ts';

export type KubeletSpec = {
  readonly binary: string;
  readonly nodeName: string;
  readonly criSocket: string;
  readonly dir: string;
};

type Node = KubeObject & {
  readonly status: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
};

/** Starts it with the administrator's credentials and waits until its node is Ready. */
export const startKubelet = async (controlPlane: ControlPlane, spec: KubeletSpec): Promise<OwnedProcess> => {
  await mkdir(spec.dir, { recursive: true });
  const configPath = join(spec.dir, 'config.json');
  await writeFile(configPath, JSON.stringify(configuration(spec), undefined, 2));
  return controlPlane.start({
    name: 'kubelet',
    command: spec.binary,
    args: [
      `--config=${configPath}`,
      `--kubeconfig=${controlPlane.kubeconfig}`,
      `--root-dir=${spec.dir}`,
      `--hostname-override=${spec.nodeName}`,
      `--node-ip=${nodeAddress}`,
      `--cert-dir=${join(spec.dir, 'pki')}`,
    ],
    readyDeadlineMs: 60_000,
    ready: async () => {
      const node = await controlPlane.api().find<Node>(`/api/v1/nodes/${spec.nodeName}`);
      return node?.status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
    },
  });
};

const configuration = (spec: KubeletSpec): object => ({
  apiVersion: 'kubelet.config.k8s.io/v1beta1',
  kind: 'KubeletConfiguration',
  containerRuntimeEndpoint: `unix://${spec.criSocket}`,
  // The address exists in the sandbox alone: only the API server of the same sandbox and the pods can reach it.
  address: nodeAddress,
  authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
  authorization: { mode: 'AlwaysAllow' },
  failCgroupV1: false,
  cgroupDriver: 'cgroupfs',
  cgroupRoot: `/${groupName}`,
  oomScoreAdj: 0,
  failSwapOn: false,
  makeIPTablesUtilChains: false,
  localStorageCapacityIsolation: false,
  resolvConf: '',
  volumePluginDir: join(spec.dir, 'volume-plugins'),
  imageGCHighThresholdPercent: 100,
  evictionHard: {
    'memory.available': '0%',
    'nodefs.available': '0%',
    'nodefs.inodesFree': '0%',
    'imagefs.available': '0%',
    'imagefs.inodesFree': '0%',
  },
  // A container that is killed again and again comes back after at most this long, instead of up to 5 minutes.
  featureGates: { KubeletCrashLoopBackOffMax: true },
  crashLoopBackOff: { maxContainerRestartPeriod: '2s' },
});
