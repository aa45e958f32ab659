// What every test of the operator stands on: a real control plane with the CRD and the shipped rights, nodes played by
// KWOK, a real nats-server, operators as people start them, and the witnesses of the API and of the stream.

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import { z } from 'zod';
import type { ApiClient, KubeObject } from '../../../hack/control-plane/api-client.ts';
import {
  type ControlPlane,
  type ControlPlaneOptions,
  startControlPlane,
} from '../../../hack/control-plane/control-plane.ts';
import { type NatsServer, startNats } from '../../../hack/control-plane/nats.ts';
import { createNodes } from '../../../hack/control-plane/nodes.ts';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import { OperatorProcess, type OperatorProcessOptions } from '../../support/operator-process.ts';
import { ReasonWitness } from '../../support/reason-witness.ts';
import { StreamObserver } from '../../support/stream-observer.ts';
import { unreadable } from '../../support/stream-verdicts.ts';

export const BUCKET = 'service-registry';
/** The first start may have to build the servers. */
export const START_MS = 900_000;
const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const CRD_NAME = 'serviceregistrations.rollcall.dev';
export const POLICY_CRD_NAME = 'servicenamepolicies.rollcall.dev';
export const POLICIES = '/apis/rollcall.dev/v1alpha1/servicenamepolicies';
const repository = join(import.meta.dirname, '../../..');

const RBAC = '/apis/rbac.authorization.k8s.io/v1';
const NODE_LEASES = 'kube-node-lease';
const roleSchema = z.looseObject({ kind: z.string(), metadata: z.looseObject({ namespace: z.string() }) });
const isOfNodeLeases = ({ kind, metadata }: z.infer<typeof roleSchema>): boolean =>
  kind === 'Role' && metadata.namespace === NODE_LEASES;

export type Condition = {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
};

export type Registration = KubeObject & {
  readonly spec: Readonly<Record<string, unknown>>;
  readonly status?: {
    readonly observedGeneration?: number;
    readonly serviceName: string;
    readonly bucket: string;
    readonly ready: string;
    readonly effective?: Readonly<Record<string, unknown>>;
    readonly instances: Readonly<Record<string, number>>;
    readonly details: readonly Readonly<Record<string, string>>[];
    readonly conditions: readonly Condition[];
  };
};

export type EventObject = KubeObject & {
  readonly reason: string;
  readonly note?: string;
  readonly type: string;
  readonly regarding: {
    readonly kind: string;
    readonly namespace?: string;
    readonly name: string;
    readonly uid: string;
  };
};

export type StageOptions = {
  readonly controlPlane?: Partial<ControlPlaneOptions>;
  readonly nats?: 'current' | 'old';
  /** Of the nats-server, for users and rights; who gives no name must be let in as the witness. */
  readonly natsConfigFile?: string;
  readonly crd?: boolean;
  /** Default true; without it the user `rollcall` may do nothing. */
  readonly rights?: boolean;
};

export class Stage {
  readonly dir: string;
  readonly cluster: ControlPlane;
  readonly nats: NatsServer;
  readonly operators: OperatorProcess[] = [];
  readonly #witness: ReasonWitness;
  #observer: StreamObserver | undefined;

  private constructor(dir: string, cluster: ControlPlane, nats: NatsServer, witness: ReasonWitness) {
    this.dir = dir;
    this.#witness = witness;
    this.cluster = cluster;
    this.nats = nats;
  }

  static async open(options: StageOptions = {}): Promise<Stage> {
    const dir = await mkdtemp(join(tmpdir(), 'rollcall-operator-'));
    const cluster = await startControlPlane({ dir, ...options.controlPlane });
    const { natsConfigFile } = options;
    const nats = await startNats({
      dir,
      binary: options.nats ?? 'current',
      ...(natsConfigFile === undefined ? {} : { configFile: natsConfigFile }),
    });
    const stage = new Stage(dir, cluster, nats, await ReasonWitness.start(cluster));
    try {
      if (options.crd ?? true) await stage.applyCrd();
      if (options.rights ?? true) await stage.grantRights();
      await createNodes(stage.api, 2);
      return stage;
    } catch (error) {
      await stage.close();
      throw error;
    }
  }

  get api(): ApiClient {
    return this.cluster.api();
  }

  /** The witness of the stream; waits for the first operator to make the bucket. */
  async observe(): Promise<StreamObserver> {
    this.#observer ??= await StreamObserver.open(this.nats.url, BUCKET);
    return this.#observer;
  }

  /** As the user `rollcall`, with the shipped rights, unless another kubeconfig is given. */
  async startOperator(options: Partial<OperatorProcessOptions> = {}): Promise<OperatorProcess> {
    const operator = await OperatorProcess.start({
      dir: this.dir,
      name: `operator-${this.operators.length}`,
      kubeconfig: await this.cluster.writeKubeconfig({ user: 'rollcall' }),
      natsUrl: this.nats.url,
      ...options,
    });
    this.operators.push(operator);
    return operator;
  }

  /** The operator that holds the lock by the stream's word, and another one. */
  async leaderAndStandby(): Promise<{ readonly leader: OperatorProcess; readonly standby: OperatorProcess }> {
    const observer = await this.observe();
    return waitFor(
      'a leader and a ready standby',
      async () => {
        const leader = this.operators.find(({ process, pid }) => process.running && pid === observer.holderPid);
        const standby = this.operators.find((operator) => operator !== leader && operator.process.running);
        if (leader === undefined || standby === undefined) return undefined;
        return (await standby.readyz()).status === 200 && { leader, standby };
      },
      { deadlineMs: 30_000, intervalMs: 20 },
    );
  }

  async applyCrd(): Promise<void> {
    for (const name of [CRD_NAME, POLICY_CRD_NAME]) {
      const manifest: unknown = parse(await readFile(join(repository, `crds/${name}.yaml`), 'utf8'));
      await this.api.post(CRDS, manifest);
    }
    await waitFor('the resources to be served', async () => {
      const found = await Promise.all([registrationsPath('default'), POLICIES].map((path) => this.api.find(path)));
      return found.every((list) => list !== undefined);
    });
  }

  async removeCrd(name = CRD_NAME): Promise<void> {
    await this.api.delete(`${CRDS}/${name}`);
    await waitFor('the CRD to be gone', async () => (await this.api.find(`${CRDS}/${name}`)) === undefined);
  }

  /** The ClusterRole and the Role for nodes' leases as shipped, for the user `rollcall`. */
  async grantRights(): Promise<void> {
    const documents = parseAllDocuments(await readFile(join(repository, 'manifests/base/cluster-role.yaml'), 'utf8'));
    const role: unknown = documents[0]?.toJS();
    const roles = parseAllDocuments(await readFile(join(repository, 'manifests/base/roles.yaml'), 'utf8'));
    const leases = roles.map((document) => roleSchema.parse(document.toJS())).find(isOfNodeLeases);
    const subjects = [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'rollcall' }];
    await this.api.post(`${RBAC}/clusterroles`, role);
    await this.api.post(`${RBAC}/clusterrolebindings`, {
      metadata: { name: 'rollcall-test' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'rollcall' },
      subjects,
    });
    await this.api.post(`${RBAC}/namespaces/${NODE_LEASES}/roles`, leases);
    await this.api.post(`${RBAC}/namespaces/${NODE_LEASES}/rolebindings`, {
      metadata: { name: 'rollcall-test' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'rollcall-node-leases' },
      subjects,
    });
  }

  /** The Role for a single namespace as in the examples, for this user. */
  async grantNamespaced(namespace: string, user: string): Promise<void> {
    const documents = parseAllDocuments(await readFile(join(repository, 'examples/namespaced-role.yaml'), 'utf8'));
    await this.api.post(`${RBAC}/namespaces/${namespace}/roles`, documents[0]?.toJS());
    await this.bindNamespaced(namespace, user);
  }

  /** The second half of that. */
  async bindNamespaced(namespace: string, user: string): Promise<void> {
    await this.api.post(`${RBAC}/namespaces/${namespace}/rolebindings`, {
      metadata: { name: 'rollcall' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'rollcall' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: user }],
    });
  }

  async unbindNamespaced(namespace: string): Promise<void> {
    await this.api.delete(`${RBAC}/namespaces/${namespace}/rolebindings/rollcall`);
  }

  registration(namespace: string, name: string): Promise<Registration | undefined> {
    return this.api.find<Registration>(`${registrationsPath(namespace)}/${name}`);
  }

  /** Waits until a condition of the resource has the reason. */
  async untilCondition(
    namespace: string,
    name: string,
    type: string,
    reason: string,
    deadlineMs = 15_000,
  ): Promise<Condition> {
    let last: Condition | undefined;
    const fits = async () => {
      const registration = await this.registration(namespace, name);
      last = registration?.status?.conditions.find((condition) => condition.type === type);
      return last?.reason === reason ? last : undefined;
    };
    return waitFor(`${type} of ${namespace}/${name} to be ${reason}`, fits, { deadlineMs }).catch((error: unknown) => {
      throw new Error(`${type} of ${namespace}/${name} is ${JSON.stringify(last)}`, { cause: error });
    });
  }

  /** Waits for an Event with the reason about the object of that name. */
  untilEvent(namespace: string, regarding: string, reason: string, deadlineMs = 10_000): Promise<EventObject> {
    const path = `/apis/events.k8s.io/v1/namespaces/${namespace}/events`;
    const [kind, name] = regarding.split('/');
    return waitFor(
      `the Event ${reason} about ${regarding}`,
      async () => {
        const events = await this.api.list<EventObject>(path);
        return events.find(
          (event) => event.reason === reason && event.regarding.kind === kind && event.regarding.name === name,
        );
      },
      { deadlineMs },
    );
  }

  /** Fails when one of the three readers would not have shown every instance that was ever seen here. */
  async close(): Promise<void> {
    // In the order of who would complain about whom.
    for (const operator of this.operators) await operator.process.kill('SIGKILL');
    await this.#witness.close(basename(this.dir));
    await this.#observer?.close();
    await this.nats.stop();
    await this.cluster.stop();
    await this.#clean();
    const unread = unreadable(this.#observer?.messages ?? []);
    if (unread.length > 0) throw new Error(`${unread.length} invisible values:\n${unread.slice(0, 10).join('\n')}`);
  }

  async #clean(): Promise<void> {
    // Logs of all processes, for whoever looks into a failure.
    if (process.env['ROLLCALL_KEEP_LOGS'] === undefined) await rm(this.dir, { recursive: true, force: true });
    else process.stderr.write(`kept ${this.dir}\n`);
  }
}

export const registrationsPath = (namespace: string): string =>
  `/apis/rollcall.dev/v1alpha1/namespaces/${namespace}/serviceregistrations`;
