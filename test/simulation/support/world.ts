// A whole installation in memory: one API server, one stream, two replicas of the production operator, on fake time.
// It offers what a cluster and its faults do, and remembers the truth about pods that the judge compares with.

import type { Random } from '../../../src/clock.ts';
import type { KeyLayout } from '../../../src/domain/names.ts';
import { parseOffset } from '../../../src/domain/service-instance.ts';
import { formatSeconds } from '../../../src/domain/timestamp.ts';
import { createCluster } from '../../../src/kubernetes/cluster-writer.ts';
import { EventRecorder } from '../../../src/kubernetes/event-recorder.ts';
import { resources } from '../../../src/kubernetes/resources.ts';
import { watchCluster } from '../../../src/kubernetes/watch-cluster.ts';
import { Operator, type OperatorObserver } from '../../../src/operator.ts';
import { someDefaults } from '../../support/builders.ts';
import { FakeApi, type FakeConnection } from '../../support/fake-api.ts';
import { conditionsOf } from '../../support/fake-api-http.ts';
import type { Json } from '../../support/fake-api-store.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeProber } from '../../support/fake-prober.ts';
import { FakeRegistry } from '../../support/fake-registry.ts';
import { FakeStream } from '../../support/fake-stream.ts';
import { Kubelets, nodeName } from './kubelets.ts';

export const BUCKET = 'service-registry';
export const OPERATOR_ID = 'simulated';
const NAMESPACE = 'default';
const SERVICE = 'web';
/** Two of one service: some of its pods are a canary's. */
export const REGISTRATIONS = ['web', 'web-canary'] as const;
const CANARY_SHARE = 0.25;
const NODES = 5;
/** A node that has said nothing for so long counts as lost: 24 s, and what looking takes. */
const SILENCE_MS = 26_000;

/** Rarely: what the walks break must come right without it. */
export const RELIST_INTERVAL_MS = 600_000;

/** How long the registry is away before readiness gates are opened all the same. */
export const GATE_TIMEOUT_MS = 40_000;
const GATE = 'rollcall.dev/registered';
/** The kubelet sees an opened gate so much later. */
const KUBELET_MS = 700;

export type Truth = {
  readonly name: string;
  readonly uid: string;
  readonly ip: string;
  readonly node: string;
  /** The registration that selects it. */
  readonly app: (typeof REGISTRATIONS)[number];
  /** Lists our readiness gate. */
  readonly gated: boolean;
  /** Ready but for us, and not being deleted. */
  ready: boolean;
  /** Fake monotonic ms when `ready` last changed, as the API server shows it. */
  changedAtMs: number;
  /** The same by the cluster's wall clock. */
  changedWallMs: number;
  gone: boolean;
  /** The node controller said that it is not Ready. */
  marked: boolean;
};

/** What both registrations say. */
export type Spec = {
  readonly ttlSeconds: number;
  readonly refreshIntervalSeconds: number;
  readonly whenNotReady: 'MarkUnhealthy' | 'Lapse' | 'Remove';
  readonly instanceId: 'Generated' | 'PodName';
  readonly onConflict: 'Yield' | 'Adopt';
  readonly keyLayout: KeyLayout;
  readonly suspend: boolean;
  readonly notReadyGraceSeconds: number;
  readonly metadata: Readonly<Record<string, string>>;
  readonly stickyActiveGroup?: string;
};

export const PLAIN: Spec = {
  ttlSeconds: 30,
  refreshIntervalSeconds: 10,
  whenNotReady: 'MarkUnhealthy',
  instanceId: 'Generated',
  onConflict: 'Yield',
  keyLayout: 'Dotted',
  suspend: false,
  notReadyGraceSeconds: 0,
  metadata: {},
};

/** Replicas' clocks differ by up to a minute, and jump by up to half of one. */
const CLOCKS_APART_MS = 100_000;

export type Replica = {
  readonly name: string;
  readonly operator: Operator;
  readonly api: FakeConnection;
  readonly registry: FakeRegistry;
  readonly clock: FakeClock;
  readonly stop: AbortController;
  readonly ended: Promise<void>;
};

type Connect = (stream: FakeStream, name: string, clock: FakeClock) => FakeRegistry;

export class World {
  readonly clock = new FakeClock();
  readonly api: FakeApi;
  readonly stream: FakeStream;
  readonly pods = new Map<string, Truth>();
  /** Those that are well, or will be. */
  readonly replicas: Replica[] = [];
  /** Those that something ails for ever. */
  readonly broken: Replica[] = [];
  /** Words of errors that somebody is to see: a right that is missing, what a brake holds. */
  readonly expectedErrors: string[] = [];
  /** Undefined: the registration is deleted. */
  spec: Spec | undefined = PLAIN;
  /** Fake monotonic ms when the registration last changed, as the API server shows it. */
  specChangedAtMs = 0;
  /** Fake monotonic ms until when keys were left to lapse, if they were. */
  lapsingUntilMs = Number.NEGATIVE_INFINITY;
  /** Fake monotonic ms when a replica last started. */
  startedAtMs = 0;
  /** Who plays the nodes; absent: there are none. */
  kubelets: Kubelets | undefined;
  readonly #random: Random;
  readonly #podRandom: Random;
  readonly #connect: Connect;
  readonly #errors: string[] = [];
  #count = 0;

  /** `connect`: makes a replica's client of the stream. `podRandom`: what pods are like, where that is to be the same. */
  constructor(
    random: Random,
    connect: Connect = (stream, name, clock) => new FakeRegistry(stream, name, clock),
    podRandom = random,
  ) {
    this.#random = random;
    this.#podRandom = podRandom;
    this.#connect = connect;
    this.api = new FakeApi(this.clock, { random });
    this.stream = new FakeStream(this.clock, random, BUCKET);
    this.#playKubelet();
    this.setSpec(PLAIN);
  }

  /** Errors that somebody should see: none may come of faults. */
  get errors(): readonly string[] {
    return this.#errors.filter((error) => !this.expectedErrors.some((expected) => error.includes(expected)));
  }

  get leader(): Replica | undefined {
    return this.replicas.find(({ operator }) => operator.writer.leading);
  }

  startReplica(wallOffsetMs = 0): Replica {
    const name = `replica-${++this.#count}`;
    const clock = this.clock.fork(wallOffsetMs);
    const api = this.api.connect(clock);
    const registry = this.#connect(this.stream, name, clock);
    const stop = new AbortController();
    const random = this.#random;
    const log = {
      debug: () => undefined,
      info: () => undefined,
      warn: () => undefined,
      error: (fields: object, message: string) =>
        void this.#errors.push(`${name}: ${message} ${JSON.stringify(fields)}`),
    };
    const { views, watching } = watchCluster({
      transport: api,
      clock,
      random,
      log,
      annotationPrefix: 'rollcall.dev',
      namespaces: [],
      excludeNamespaces: ['kube-system'],
      defaults: someDefaults,
      relistIntervalMs: RELIST_INTERVAL_MS,
      signal: stop.signal,
    });
    const events = new EventRecorder({ transport: api, clock, random, log, reportingInstance: name });
    const offset = parseOffset('+08:00');
    if (offset === undefined) throw new Error('no offset');
    const operator = new Operator(
      {
        views,
        cluster: createCluster(api),
        events,
        registry,
        prober: new FakeProber(this.clock, ({ host }) => (this.#answers(host) ? 'answered' : 'failed')),
        clock,
        random,
        log,
        observer: SILENT,
      },
      {
        bucket: BUCKET,
        operatorId: OPERATOR_ID,
        replicaId: name,
        offset,
        defaults: someDefaults,
        readinessGates: { annotationPrefix: 'rollcall.dev', timeoutMs: GATE_TIMEOUT_MS },
        nameClaims: 'FirstCome',
        quotas: {},
      },
    );
    const ended = Promise.all([operator.run(stop.signal), events.run(stop.signal), watching]).then(() => undefined);
    const replica: Replica = { name, operator, api, registry, clock, stop, ended };
    this.replicas.push(replica);
    this.startedAtMs = this.clock.monotonicMs();
    return replica;
  }

  /** kill -9: nothing it wanted to say is said any more; what the server has already received counts. */
  async kill(replica: Replica): Promise<void> {
    replica.registry.setLink('disconnected');
    replica.api.faults.cut();
    await this.#end(replica);
  }

  /** SIGSTOP. What is under way arrives; answers and all else wait. */
  pause(replica: Replica): void {
    replica.clock.stopProcess();
    replica.api.faults.hold();
  }

  /** SIGCONT */
  resume(replica: Replica): void {
    replica.clock.continueProcess();
    replica.api.faults.pass();
  }

  /** It counts no more: nothing heals it, and the others must do without. */
  giveUp(replica: Replica): void {
    this.replicas.splice(this.replicas.indexOf(replica), 1);
    this.broken.push(replica);
  }

  /** SIGTERM. */
  async stop(replica: Replica): Promise<void> {
    await this.#end(replica);
  }

  async #end(replica: Replica): Promise<void> {
    this.replicas.splice(this.replicas.indexOf(replica), 1);
    replica.stop.abort();
    let over = false;
    void replica.ended.then(() => {
      over = true;
    });
    await this.clock.until(() => over, 5_000);
  }

  // ---- the registration ----

  setSpec(spec: Spec | undefined): void {
    const nowMs = this.clock.monotonicMs();
    if (this.isLapsing) this.lapsingUntilMs = nowMs;
    for (const name of REGISTRATIONS) {
      const stored = this.api.get('ServiceRegistration', NAMESPACE, name);
      if (spec === undefined) this.api.delete('ServiceRegistration', NAMESPACE, name);
      else {
        this.api.put('ServiceRegistration', {
          ...stored,
          metadata: { ...stored?.metadata, name, namespace: NAMESPACE },
          spec: { serviceName: SERVICE, selector: { matchLabels: { app: name } }, ...spec },
        });
      }
    }
    this.spec = spec;
    this.specChangedAtMs = nowMs;
  }

  /** Keys whose pods are not Ready, or all, are left as they are. */
  get isLapsing(): boolean {
    return this.spec?.whenNotReady === 'Lapse' || this.spec?.suspend === true;
  }

  /** For so long after it ceased to be Ready a pod may keep its key; a replica with another clock may begin anew. */
  graceMs(pod: Truth): number {
    if (pod.gone || this.spec === undefined || this.spec.suspend) return 0;
    const graceMs = this.spec.notReadyGraceSeconds * 1_000;
    return graceMs === 0 || this.startedAtMs < pod.changedAtMs ? graceMs : graceMs + CLOCKS_APART_MS;
  }

  /** When anything that is to be told last changed, as the API server shows it. */
  get changedAtMs(): number {
    let lastMs = this.specChangedAtMs;
    for (const { changedAtMs } of this.pods.values()) lastMs = Math.max(lastMs, changedAtMs);
    return lastMs;
  }

  /** The pod should have an ACTIVE key. */
  wants(pod: Truth): boolean {
    return pod.ready && this.spec !== undefined && !this.spec.suspend && !this.#isOnLostNode(pod);
  }

  /** Since when `wants` says what it says. */
  wantsSinceMs(pod: Truth): number {
    const sinceMs = Math.max(pod.changedAtMs, this.specChangedAtMs);
    if (this.kubelets === undefined) return sinceMs;
    const nodeSinceMs = this.kubelets.changedAtMs(pod.node);
    if (!this.#isOnLostNode(pod)) return Math.max(sinceMs, nodeSinceMs);
    // A replica that was not there when it fell silent has to wait as long.
    return Math.max(sinceMs, Math.max(nodeSinceMs, this.startedAtMs) + SILENCE_MS);
  }

  /** Its node spoke again a moment ago. */
  wasLost({ node }: Truth): boolean {
    const sinceMs = this.kubelets?.changedAtMs(node) ?? Number.NEGATIVE_INFINITY;
    return this.clock.monotonicMs() - sinceMs < SILENCE_MS;
  }

  /** As long as they are few. */
  #isOnLostNode(pod: Truth): boolean {
    return this.kubelets?.isSilent(pod.node) ?? false;
  }

  /** Plays the nodes of the pods from now on. */
  addNodes(): Kubelets {
    this.kubelets = new Kubelets(this.api, this.clock, NODES);
    return this.kubelets;
  }

  // ---- pods ----

  addPod(name: string, ready: boolean, gated = this.#podRandom() < 0.3): Truth {
    const app = this.#podRandom() < CANARY_SHARE ? REGISTRATIONS[1] : REGISTRATIONS[0];
    const pod = {
      name,
      uid: this.#newUid(),
      ip: `10.0.0.${this.pods.size + 1}`,
      node: nodeName(this.pods.size % NODES),
      app,
      gated,
      ready,
      ...this.#now(),
      gone: false,
      marked: false,
    };
    this.#show(pod);
    this.pods.set(pod.uid, pod);
    return pod;
  }

  setReady(pod: Truth, ready: boolean): void {
    if (pod.gone || pod.ready === ready) return;
    Object.assign(pod, { ready, ...this.#now() });
    this.#show(pod);
  }

  /** The word of the node controller, or that of the kubelet again. */
  mark(pod: Truth, marked: boolean): void {
    if (pod.gone) return;
    pod.marked = marked;
    this.#show(pod);
  }

  /** Every watch ends where the API server has forgotten, so that each kind is listed; and all lists are empty from now on. */
  showEmptyLists(): void {
    for (const { api } of this.replicas) api.faults.cut();
    this.addPod('one-more', false, false);
    this.api.compact();
    for (const { api } of this.replicas) {
      api.faults.pass();
      api.faults.emptyLists = true;
    }
  }

  deletePod(pod: Truth): void {
    if (pod.gone) return;
    this.api.delete('Pod', NAMESPACE, pod.name);
    if (pod.ready) pod.changedAtMs = this.clock.monotonicMs();
    pod.ready = false;
    pod.gone = true;
  }

  /** Our condition of a pod, as it is stored; undefined before it was ever written. */
  gateOf(pod: Truth): Json | undefined {
    const stored = this.storedPod(pod);
    return stored === undefined ? undefined : conditionsOf(stored).find(({ type }) => type === GATE);
  }

  /** The pod as the API server shows it; undefined when another one has its name. */
  storedPod(pod: Truth): Json | undefined {
    const stored = this.api.get('Pod', NAMESPACE, pod.name);
    return stored?.metadata.uid === pod.uid ? stored : undefined;
  }

  /** The pod as its kubelet reports it, beside the condition that is ours. */
  #show(pod: Truth): void {
    const gate = pod.gated ? this.gateOf(pod) : undefined;
    this.api.put('Pod', podObject(pod, gate));
  }

  /** A gate that opens makes the pod Ready a moment later. */
  #playKubelet(): void {
    this.api.store.collection(resources.Pod).onChange.add(({ object, before }) => {
      const pod = this.pods.get(object.metadata.uid);
      if (pod === undefined || before === undefined || !pod.gated) return;
      this.clock.after(KUBELET_MS, () => {
        if (!pod.gone) this.#show(pod);
      });
    });
  }

  /** A pod listens while its containers run, Ready or not. */
  #answers(ip: string): boolean {
    return this.livingPods.some((pod) => pod.ip === ip);
  }

  #now(): Pick<Truth, 'changedAtMs' | 'changedWallMs'> {
    return { changedAtMs: this.clock.monotonicMs(), changedWallMs: this.clock.wallMs() };
  }

  /** One in ten begins like one there is, as in services of thousands of pods. */
  #newUid(): string {
    const digits = (count: number) =>
      Array.from({ length: count }, () => Math.floor(this.#podRandom() * 16).toString(16)).join('');
    const [known] = this.#podRandom() < 0.1 ? this.pods.keys() : [];
    return `${known?.slice(0, 8) ?? digits(8)}-${digits(4)}-4${digits(3)}-8${digits(3)}-${digits(12)}`;
  }

  get livingPods(): readonly Truth[] {
    return [...this.pods.values()].filter(({ gone }) => !gone);
  }

  async end(): Promise<void> {
    for (const replica of this.broken.splice(0)) {
      this.resume(replica);
      this.replicas.push(replica);
      await this.kill(replica);
    }
    for (const replica of [...this.replicas]) await this.stop(replica);
    this.kubelets?.end();
    // Bytes of stalled batches arrive up to 30 s late, and connections time out.
    await this.clock.advance(40_000);
    this.stream.close();
  }
}

const SILENT: OperatorObserver = {
  queue: () => ({ added: () => undefined, worked: () => undefined, retried: () => undefined }),
  batch: () => undefined,
  written: () => undefined,
  acknowledged: () => undefined,
  visible: () => undefined,
  audited: () => undefined,
  lapsed: () => undefined,
  conflict: () => undefined,
  probed: () => undefined,
  leaseFailed: () => undefined,
};

const podObject = (pod: Truth, gate: Json | undefined) => {
  const { name, uid, ip, node, app, ready, gated, marked, changedWallMs } = pod;
  const isReady = ready && (!gated || gate?.['status'] === 'True');
  const condition = (type: string, isTrue: boolean, reason?: string) => ({
    type,
    status: isTrue ? 'True' : 'False',
    lastTransitionTime: formatSeconds(changedWallMs),
    ...(reason === undefined ? {} : { reason }),
  });
  return {
    metadata: { name, namespace: NAMESPACE, labels: { app }, uid },
    spec: {
      nodeName: node,
      containers: [{ name: 'app', image: 'web:1.2.3', ports: [{ containerPort: 80 }] }],
      ...(gated ? { readinessGates: [{ conditionType: GATE }] } : {}),
    },
    status: {
      phase: 'Running',
      podIP: ip,
      startTime: '2026-11-23T09:00:00Z',
      conditions: [
        condition('ContainersReady', ready),
        condition('Ready', isReady && !marked, ready && !isReady ? 'ReadinessGatesNotReady' : undefined),
        ...(gate === undefined ? [] : [gate]),
      ],
    },
  };
};
