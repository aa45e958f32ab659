/**
 * Everything the demo runs on: a control plane and a nats-server of its own, the shipped CRD and rights, two replicas of
 * the operator, and the two watches by which it judges. What happens on it is the story's.
 */
import { join, relative } from 'node:path';
import { type ControlPlane, startControlPlane } from '../control-plane/control-plane.ts';
import { type NatsServer, startNats } from '../control-plane/nats.ts';
import { createNodes } from '../control-plane/nodes.ts';
import type { OwnedProcess } from '../control-plane/owned-process.ts';
import { waitFor } from '../control-plane/wait.ts';
import type { Chronicle } from './chronicle.ts';
import { PodWatch } from './pod-watch.ts';
import { type Entry, RegistryWatch } from './registry-watch.ts';
import { Replicas } from './replicas.ts';

export type Installation = {
  readonly chronicle: Chronicle;
  readonly replicas: Replicas;
  readonly pods: PodWatch;
  readonly registry: RegistryWatch;
  /** Keys that went while their pod was Ready, in all the time: there must be none. */
  readonly missing: readonly string[];
  /** What to type in another terminal, to look on or join in. */
  readonly hints: readonly string[];
  /** Shows the command and runs it exactly so. Rejects when it fails. */
  readonly kubectl: (...args: readonly string[]) => Promise<string>;
};

type InstallationOptions = {
  readonly repository: string;
  readonly dir: string;
  readonly chronicle: Chronicle;
  /** Told when something that must last ended by itself. */
  readonly onBroken: (error: Error) => void;
  readonly signal: AbortSignal;
  /** Takes what must be ended, also when the start fails half-way. */
  readonly owned: AsyncDisposableStack;
};

const namespace = 'default';
const nodes = 3;
/** As long as the demo's own watch of pods. */
const token = ['create', 'token', 'rollcall', '--namespace=rollcall-system', '--duration=24h'];
const base = ['namespace', 'service-account', 'cluster-role', 'roles'].map((name) => `manifests/base/${name}.yaml`);
const applyShipped = ['apply', ...['crds', ...base].flatMap((path) => ['-f', path])];

export async function install(options: InstallationOptions): Promise<Installation> {
  const { repository, dir, chronicle, onBroken, signal, owned } = options;
  const logDir = join(dir, 'logs');
  chronicle.note(
    'etcd, kube-apiserver, controller manager, scheduler, kwok (in place of kubelets) and nats-server start',
  );
  chronicle.note(`logs: ${relative(repository, logDir)}`);
  const [controlPlane, nats] = await chronicle.during('the control plane and NATS', undefined, () =>
    startServers(dir, logDir, signal, owned),
  );
  for (const server of [...controlPlane.processes, nats.process]) watchOver(server, onBroken, signal);
  // Meanwhile the operator starts, which needs neither.
  const nodesReady = makeNodes(controlPlane, signal);
  nodesReady.catch(onBroken);
  const kubectl = async (...args: readonly string[]) => {
    const command = `kubectl ${args.join(' ')}`;
    chronicle.command(command);
    const output = await chronicle.during(command, undefined, () => controlPlane.kubectlOk(args));
    signal.throwIfAborted();
    return output.trim();
  };
  await kubectl(...applyShipped);
  const kubeconfig = await controlPlane.writeKubeconfig({ user: 'rollcall', token: await kubectl(...token) });
  const missing: string[] = [];
  const pods = await PodWatch.open(controlPlane, namespace, onBroken, signal);
  const listeners = {
    onGone: ({ key, podUid }: Entry) => {
      if (pods.pod(podUid)?.ready === true) missing.push(key);
    },
    onUnreadable: (key: string, text: string) =>
      onBroken(new Error(`${key} holds what a strict reader would not take:\n${text}`)),
  };
  const [replicas, registry] = await chronicle.during('two replicas of the operator', undefined, () =>
    Promise.all([
      Replicas.start({ repository, controlPlane, kubeconfig, natsUrl: nats.url, logDir, signal }).then((started) => {
        owned.defer(() => started.stop());
        return started;
      }),
      RegistryWatch.open(nats.url, listeners, signal).then((opened) => {
        owned.defer(() => opened.close());
        return opened;
      }),
    ]),
  );
  await chronicle.during('nodes', undefined, () => nodesReady);
  for (const { name, role, process } of replicas.all()) chronicle.note(`${name} ${role} (pid ${process.pid})`);
  const hints = [
    `export PATH=${controlPlane.binaries}:$PATH`,
    `export KUBECONFIG=${controlPlane.kubeconfig}`,
    `export NATS_URL=${nats.url}   # for the nats CLI (not included)`,
  ];
  return { chronicle, replicas, pods, registry, missing, hints, kubectl };
}

async function startServers(
  dir: string,
  logDir: string,
  signal: AbortSignal,
  owned: AsyncDisposableStack,
): Promise<readonly [ControlPlane, NatsServer]> {
  const starting = [
    startControlPlane({ dir, logDir, signal }).then((controlPlane) => owned.use(controlPlane)),
    startNats({ dir, logDir, signal }).then((nats) => owned.use(nats)),
  ] as const;
  // Both settle before anything is thrown, so that whatever came up is owned.
  await Promise.allSettled(starting);
  return Promise.all(starting);
}

/** Also waits for the service account without which no pod is admitted. */
async function makeNodes(controlPlane: ControlPlane, signal: AbortSignal): Promise<void> {
  const api = controlPlane.api();
  await createNodes(api, nodes, { signal });
  const account = `/api/v1/namespaces/${namespace}/serviceaccounts/default`;
  await waitFor('the default service account', () => api.find(account), { deadlineMs: 30_000, signal });
}

function watchOver(server: OwnedProcess, onBroken: (error: Error) => void, signal: AbortSignal): void {
  void server.exited.then(({ code, signal: by }) => {
    if (!signal.aborted)
      onBroken(new Error(`${server.name} ended (${by ?? `exit code ${code}`}); see ${server.logFile}`));
  });
}
