// What a case is played on: a real control plane with KWOK, one nats-server or a cluster of three, two operators as people
// start them, each behind proxies of its own, the observer in its process, and a thousand Ready pods with their keys.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ControlPlane, startControlPlane } from '../../hack/control-plane/control-plane.ts';
import { writeKubeconfig } from '../../hack/control-plane/kubeconfig.ts';
import { type NatsServer, startNats, startNatsCluster } from '../../hack/control-plane/nats.ts';
import { createNodes } from '../../hack/control-plane/nodes.ts';
import { type ApiGate, startApiGate } from '../support/api-gate.ts';
import { OperatorProcess } from '../support/operator-process.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { NatsUsers } from './nats-users.ts';
import { Observer } from './observer.ts';
import { insideUrl } from './operator-hand.ts';
import { OperatorHealth } from './operator-health.ts';

export const BUCKET = 'service-registry';
export const PODS = 1_000;
const FOREIGN_KEYS = 50;
const NODES = 4;
const REPLICAS = 2;
const crds = ['serviceregistrations', 'servicenamepolicies'].map((name) => `crds/${name}.rollcall.dev.yaml`);
const repository = join(import.meta.dirname, '../..');

export type StageNeeds = {
  /** `one with users`: NATS has users with rights, and the operators no more than theirs. */
  readonly nats: 'one server' | 'one with users' | 'three servers';
  /** Default: a thousand. */
  readonly pods?: number;
  /** The operators obey a hand inside of them: `operator-inside.ts`. */
  readonly inside?: true;
  /** A folder with `bin/` and `src/` to run the operators from; default: this repository. */
  readonly source?: string;
  /** The controller manager, for cases in which namespaces go or nodes are judged. */
  readonly controllers?: true;
  /** Each node has a kwok of its own, `kwok-{node}`, so that it can be lost alone. */
  readonly kubelets?: 'apart';
  /** Every pod listens, so that probes answer. */
  readonly listening?: true;
  /** Flags of the operators beside the addresses. */
  readonly flags?: readonly string[];
};

/** Two cases of the same needs may share a stage. */
export const nameOf = ({
  nats,
  controllers,
  listening,
  kubelets,
  pods,
  inside,
  source,
  flags = [],
}: StageNeeds): string =>
  [
    nats,
    ...(controllers === true ? ['controller manager'] : []),
    ...(listening === true ? ['pods that listen'] : []),
    ...(kubelets === undefined ? [] : ['kubelets apart']),
    ...(pods === undefined ? [] : [`${pods} pods`]),
    ...(inside === true ? ['a hand inside'] : []),
    ...(source === undefined ? [] : [`the operators of ${source}`]),
    ...flags,
  ].join(', ');

export type Replica = {
  readonly operator: OperatorProcess;
  readonly api: TcpProxy;
  /** Absent with three servers, whose clients learn each other's addresses. */
  readonly nats: TcpProxy | undefined;
};

export class Stage {
  readonly dir: string;
  readonly needs: StageNeeds;
  readonly cluster: ControlPlane;
  readonly nats: readonly NatsServer[];
  /** Absent where everybody may do everything. */
  readonly users: NatsUsers | undefined;
  readonly replicas: readonly Replica[];
  /** Between the proxies of all replicas and the API server, with a door for each. */
  readonly gate: ApiGate;
  readonly observer: Observer;
  readonly health: OperatorHealth;
  readonly #owned: AsyncDisposableStack;

  private constructor(parts: Omit<Stage, 'close' | 'pods'>, owned: AsyncDisposableStack) {
    this.dir = parts.dir;
    this.needs = parts.needs;
    this.cluster = parts.cluster;
    this.nats = parts.nats;
    this.users = parts.users;
    this.replicas = parts.replicas;
    this.gate = parts.gate;
    this.observer = parts.observer;
    this.health = parts.health;
    this.#owned = owned;
  }

  /** As many Ready pods as there are. */
  get pods(): number {
    return this.needs.pods ?? PODS;
  }

  /** On failure everything started is ended, and the logs stay where the error says. */
  static async open(needs: StageNeeds, say: (line: string) => void): Promise<Stage> {
    const dir = await mkdtemp(join(tmpdir(), 'rollcall-faults-'));
    const owned = new AsyncDisposableStack();
    try {
      return await Stage.#build(needs, dir, owned, say);
    } catch (error) {
      await owned.disposeAsync();
      throw new Error(`the stage could not be built; the logs stay in ${dir}`, { cause: error });
    }
  }

  static async #build(needs: StageNeeds, dir: string, owned: AsyncDisposableStack, say: (line: string) => void) {
    say('servers');
    const users = needs.nats === 'one with users' ? await NatsUsers.write(dir) : undefined;
    const [cluster, nats] = await Promise.all([
      startControlPlane({
        dir,
        scheduler: false,
        controllerManager: needs.controllers === true,
        kwok: needs.kubelets === undefined,
      }).then((one) => owned.use(one)),
      startServers(needs, dir, users, owned),
    ]);
    const [first] = nats;
    if (first !== undefined) await users?.begin(first, BUCKET);
    await grantRights(cluster);
    await makeNodes(cluster, needs);
    const gate = await startApiGate({ url: cluster.url, certDir: join(dir, 'certs'), doors: REPLICAS });
    owned.defer(() => gate.close());
    say('operators');
    const replicas: Replica[] = [];
    for (let number = 0; number < REPLICAS; number += 1)
      replicas.push(await startReplica(number, { needs, cluster, gate, nats, users, dir, owned }));
    const health = new OperatorHealth(replicas.map(({ operator }) => operator));
    owned.defer(() => health.close());
    const pods = needs.pods ?? PODS;
    say(`${pods.toLocaleString('en')} pods`);
    const observer = owned.use(await Observer.start());
    const access = { url: cluster.url, caFile: cluster.caFile, token: cluster.adminToken };
    await observer.open({
      api: access,
      natsUrls: nats.map(({ url }) => url),
      bucket: BUCKET,
      listening: needs.listening === true,
    });
    await observer.make({ pods, foreignKeys: FOREIGN_KEYS });
    return new Stage({ dir, needs, cluster, nats, users, replicas, gate, observer, health }, owned);
  }

  /** @param keepLogs for whoever looks into a failure */
  async close({ keepLogs }: { readonly keepLogs: boolean }): Promise<void> {
    await this.#owned.disposeAsync();
    if (!keepLogs) await rm(this.dir, { recursive: true, force: true });
  }
}

const startServers = async (
  { nats }: StageNeeds,
  dir: string,
  users: NatsUsers | undefined,
  owned: AsyncDisposableStack,
) => {
  if (users !== undefined) return [owned.use(await startNats({ dir, configFile: users.configFile }))];
  if (nats === 'one server') return [owned.use(await startNats({ dir }))];
  return owned.use(await startNatsCluster({ dir })).servers;
};

const makeNodes = async (cluster: ControlPlane, { kubelets }: StageNeeds): Promise<void> => {
  if (kubelets === undefined) return void (await createNodes(cluster.api(), NODES));
  for (let index = 0; index < NODES; index += 1) {
    const group = `node-${index}`;
    await cluster.startKwok(group);
    await createNodes(cluster.api(), 1, { group, from: index });
  }
};

/** The CRDs and the roles as shipped, for the user that the operators are. */
const grantRights = async (cluster: ControlPlane): Promise<void> => {
  const shipped = [...crds, 'manifests/base/cluster-role.yaml'].flatMap((path) => ['-f', join(repository, path)]);
  await cluster.kubectlOk(['apply', ...shipped]);
  await cluster.kubectlOk([
    'create',
    'clusterrolebinding',
    'rollcall-faults',
    '--clusterrole=rollcall',
    '--user=rollcall',
  ]);
  const roles = join(repository, 'manifests/base/roles.yaml');
  await cluster.kubectlOk(['create', 'namespace', 'rollcall-system']);
  await cluster.kubectlOk(['apply', '-f', roles]);
  await cluster.kubectlOk([
    '--namespace=kube-node-lease',
    'create',
    'rolebinding',
    'rollcall-faults',
    '--role=rollcall-node-leases',
    '--user=rollcall',
  ]);
  await cluster.kubectlOk([
    'wait',
    '--for=condition=Established',
    '--timeout=30s',
    ...crds.flatMap((path) => ['-f', join(repository, path)]),
  ]);
};

type Surroundings = Pick<Stage, 'needs' | 'cluster' | 'gate' | 'nats' | 'users' | 'dir'> & {
  readonly owned: AsyncDisposableStack;
};

const startReplica = async (
  number: number,
  { needs: { flags = [], inside, source }, cluster, gate, nats: servers, users, dir, owned }: Surroundings,
): Promise<Replica> => {
  const name = `operator-${number}`;
  const proxy = async (port: number) => {
    const started = await startTcpProxy({ port });
    owned.defer(() => started.close());
    return started;
  };
  const api = await proxy(gate.ports[number] ?? 0);
  const [server] = servers;
  const nats = servers.length === 1 && server !== undefined ? await proxy(server.port) : undefined;
  const kubeconfig = await writeKubeconfig({
    path: join(dir, `${name}.kubeconfig`),
    url: `https://127.0.0.1:${api.port}`,
    caFile: cluster.caFile,
    user: 'rollcall',
    token: cluster.token('rollcall'),
  });
  const natsUrl = nats === undefined ? servers.map(({ url }) => url).join(',') : `nats://127.0.0.1:${nats.port}`;
  const operator = await OperatorProcess.start({
    dir,
    name,
    kubeconfig,
    natsUrl,
    args: [...flags, ...(users?.operatorFlags ?? [])],
    await: 'readyz',
    ...(inside === true ? { preload: insideUrl(dir) } : {}),
    ...(source === undefined ? {} : { source }),
  });
  owned.defer(() => operator.process.kill('SIGKILL'));
  return { operator, api, nats };
};
