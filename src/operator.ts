// The whole operator on its ports: two loops round one table. Reconcilers turn what the cluster says into wishes; the
// writer makes the registry agree with them. Composed here once, for production (`main.ts`) and the simulation alike.
// Long, because everything meets here: what each part needs of the others, and the look once a second whether what it sees
// is fresh, whole, and its to speak of.

import type { Clock, Random } from './clock.ts';
import { Claims } from './controllers/claims.ts';
import type { Cluster } from './controllers/cluster.ts';
import { LayeredDefaults } from './controllers/defaults.ts';
import { denialOf } from './controllers/denials.ts';
import { Duplicates } from './controllers/duplicates.ts';
import { Holding } from './controllers/holding.ts';
import { InstanceQuotas } from './controllers/instance-quotas.ts';
import { mirrorLease } from './controllers/lease-mirror.ts';
import { type JudgedNodes, NodeWatch } from './controllers/node-watch.ts';
import { Outage } from './controllers/outage.ts';
import { type OwnedKey, ownedNamespaceOf, reconcileOwned } from './controllers/owned-reconciler.ts';
import { type PodReconcilerContext, reconcilePod } from './controllers/pod-reconciler.ts';
import type { ProbeOutcome, Prober } from './controllers/prober.ts';
import { ReadinessGates, type ReadinessGatesSettings } from './controllers/readiness-gates.ts';
import { ReconcileFailures } from './controllers/reconcile-failures.ts';
import { RegistrationReconciler } from './controllers/registration-reconciler.ts';
import { Registrations } from './controllers/registrations.ts';
import { type EventSink, Reporter } from './controllers/reporter.ts';
import { weighByKeys } from './controllers/stakes.ts';
import { Triggers } from './controllers/triggers.ts';
import { allViews, type Views } from './controllers/views.ts';
import { type QueueObserver, type QueueReading, WorkQueue } from './controllers/work-queue.ts';
import { CONFIRM_AFTER_MS } from './domain/brake.ts';
import type { Asked } from './domain/decide.ts';
import type { NameClaimMode } from './domain/name-claims.ts';
import { namespaceOf, type ObjectKey, objectKey, type PodView } from './domain/pod.ts';
import type { Quotas } from './domain/quotas.ts';
import type { HeartbeatOffset } from './domain/service-instance.ts';
import type { Defaults } from './domain/settings.ts';
import type { Log } from './log.ts';
import { InstanceTable } from './table/instance-table.ts';
import { isShown, SETTLED } from './table/row.ts';
import { VERSION } from './version.ts';
import type { Findings } from './writer/audit.ts';
import { subjectOf } from './writer/batch-plan.ts';
import type { WriterObserver } from './writer/context.ts';
import type { OrphanSettings } from './writer/orphan.ts';
import type { Registry } from './writer/registry.ts';
import { Visibility } from './writer/visibility.ts';
import { WriteBudget } from './writer/write-budget.ts';
import { type Voice, Writer } from './writer/writer.ts';

const WATCH_FRESHNESS_EVERY_MS = 1_000;
/** What a view that is fresh again shows is acted upon within this, or something else than time is missing. */
const CATCH_UP_WITHIN_MS = 10_000;
/** Statuses are written one at a time; while more than this wait (the registry came or went), helpers join in. */
const STATUS_BACKLOG = 50;
const STATUS_HELPERS = 3;
/** Finding the pods of nodes takes a look at every pod, so nodes that come back together wait for each other. */
const FOLLOW_NODES_EVERY_MS = 500;
/** A pod that waits for what the watch of nodes says is looked at again this often. */
const NODE_AWAITED_LOOK_MS = 500;
/** So often what belongs to a namespace of which not all is known, or may be behind what was written. */
const UNKNOWN_LOOK_MS = 5_000;

export type OperatorPorts = {
  readonly views: Views;
  readonly cluster: Cluster;
  readonly events: EventSink;
  readonly registry: Registry;
  readonly prober: Prober;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly observer: OperatorObserver;
};

export type OperatorObserver = {
  queue(name: string): QueueObserver;
  batch: WriterObserver['batch'];
  written(reason: string): void;
  acknowledged(tookMs: number): void;
  visible(tookMs: number): void;
  lapsed(keys?: number): void;
  conflict(): void;
  audited(found: Findings): void;
  probed(outcome: ProbeOutcome): void;
  /** The Lease that shows who leads was not written. */
  leaseFailed(): void;
};

export type OperatorSettings = {
  readonly bucket: string;
  readonly operatorId: string;
  readonly replicaId: string;
  readonly offset: HeartbeatOffset;
  readonly defaults: Defaults;
  readonly nameClaims: NameClaimMode;
  readonly quotas: Quotas;
  /** Absent: no limit. */
  readonly maxWritesPerSecond?: number;
  readonly readinessGates?: ReadinessGatesSettings;
  /** Nobody will be there to see whether leases move: see `NodeWatch`. */
  readonly leasesByClock?: true;
  /** Of the Lease that shows who leads; absent: none is written. */
  readonly leaseNamespace?: string;
};

export class Operator {
  readonly table: InstanceTable;
  readonly writer: Writer;
  readonly #ports: OperatorPorts;
  readonly #settings: OperatorSettings;
  readonly #pods: WorkQueue<ObjectKey>;
  readonly #registrations: WorkQueue<ObjectKey>;
  readonly #owned: WorkQueue<OwnedKey>;
  readonly #duplicates = new Duplicates();
  readonly #defaults: LayeredDefaults;
  readonly #claims: Claims;
  readonly #quotas: InstanceQuotas;
  readonly #reporter: Reporter;
  readonly #gates: ReadinessGates;
  readonly #visibility: Visibility;
  readonly #outage: Outage;
  readonly #nodes: NodeWatch;
  readonly #holding: Holding;
  readonly #inForce: Registrations;
  readonly #triggers: Triggers;
  /** Every view was complete once. Before that no change asks for anything: all would be asked for again. */
  #listed = false;
  /** And every pod in it decided about. */
  #warm = false;
  #fresh = false;
  /** Of which what we see is old, though not all is: as one text. */
  #stale = '';
  /** What the views showed when they were fresh again has been acted upon. */
  #caughtUp = true;
  #freshSinceMs = 0;
  /** While the view is old: when the API server was last heard at all, and whether the statuses were told again since. */
  #heardAtMs = Number.NEGATIVE_INFINITY;
  #toldOfBlindness = false;
  #nodesFollowedAtMs = Number.NEGATIVE_INFINITY;
  #voice: Voice = 'silent';

  constructor(ports: OperatorPorts, settings: OperatorSettings) {
    const { clock, random, observer } = ports;
    this.#ports = ports;
    this.#settings = settings;
    this.#defaults = new LayeredDefaults(settings.defaults, ports.views.namespaces);
    this.#pods = new WorkQueue(clock, random, observer.queue('pod'), namespaceOf);
    this.#registrations = new WorkQueue(clock, random, observer.queue('serviceregistration'), namespaceOf);
    this.#owned = new WorkQueue(clock, random, observer.queue('owned'), ownedNamespaceOf);
    this.#claims = new Claims(ports.views, settings.nameClaims, settings.quotas.services);
    this.#quotas = new InstanceQuotas(settings.quotas);
    this.#inForce = new Registrations({
      views: ports.views,
      defaults: this.#defaults,
      installation: settings.defaults,
      claims: this.#claims,
    });
    this.#reporter = new Reporter(ports.views, ports.events, () => this.voice !== 'silent');
    this.table = new InstanceTable(
      clock,
      {
        onUrgent: () => this.writer.wake(),
        onReport: (registration) => this.#registrations.add(registration),
        onStretch: (factor) => this.#noteStretch(factor),
      },
      settings.maxWritesPerSecond,
    );
    weighByKeys(ports.views, this.table);
    this.#visibility = new Visibility(ports.registry, clock, (tookMs) => observer.visible(tookMs));
    this.#outage = new Outage({
      ...ports,
      table: this.table,
      onProbe: (outcome) => observer.probed(outcome),
      knows: (namespace) => !this.#listed || this.#knows(namespace),
    });
    this.#nodes = new NodeWatch({
      views: ports.views,
      clock,
      byClock: settings.leasesByClock ?? false,
      onChange: () => {
        if (clock.monotonicMs() - this.#nodesFollowedAtMs >= FOLLOW_NODES_EVERY_MS) this.#followNodes();
      },
    });
    this.#holding = new Holding({
      ...ports,
      table: this.table,
      nodes: this.#nodes,
      onChange: () => this.#triggers.reconcileReports(),
    });
    this.writer = new Writer(
      {
        registry: ports.registry,
        table: this.table,
        clock,
        random,
        log: ports.log,
        bucket: settings.bucket,
        operatorId: settings.operatorId,
        replicaId: settings.replicaId,
        offset: settings.offset,
        version: VERSION,
        budget: new WriteBudget(clock, settings.maxWritesPerSecond),
        knowledge: () => (this.#warm ? 'complete' : this.#listed ? 'gathering' : 'none'),
        viewAgeMs: () => this.#outage.viewAgeMs,
        fresh: () => this.#listed && this.viewFresh,
        isUnread: (namespace) => this.viewFresh && !this.#outage.isFresh(namespace),
        provenAtMs: (namespace) => this.#outage.provenAtMs(namespace),
        sees: ({ namespace, name, uid }) => this.#ports.views.pods.get(objectKey(namespace, name))?.uid === uid,
        doubt: () => {
          const nowMs = this.#ports.clock.monotonicMs();
          for (const view of allViews(this.#ports.views)) view.doubt(nowMs);
        },
        mayKeep: (row) => this.#outage.mayKeep(row),
        settingsOf: (namespace, serviceName) => this.#settingsOf(namespace, serviceName),
        observer: this.#writerObserver(),
      },
      () => this.#triggers.reconcileReports(),
    );
    const denials = {
      views: ports.views,
      registrationsOf: (namespace: string) => this.#inForce.of(namespace),
      claims: this.#claims,
      quotas: this.#quotas,
    };
    this.#gates = new ReadinessGates(
      {
        ...ports,
        table: this.table,
        queue: observer.queue('readinessgate'),
        denialOf: (pod) => denialOf(denials, pod),
        registry: () => this.writer.health(),
        unwellForMs: () => this.writer.unwellForMs,
        voice: () => this.voice,
      },
      settings.readinessGates,
    );
    this.#triggers = new Triggers({
      views: ports.views,
      queues: { pods: this.#pods, registrations: this.#registrations, owned: this.#owned },
      registrations: this.#inForce,
      claims: this.#claims,
      defaults: this.#defaults,
      gates: this.#gates,
      reporter: this.#reporter,
      isListed: () => this.#listed,
    });
    this.#triggers.start();
  }

  /** Runs until the signal aborts and everything has ended in good order. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#ports;
    const failures = new ReconcileFailures(clock, log);
    const podContext = this.#podContext();
    const registrations = new RegistrationReconciler({
      views: this.#ports.views,
      registrationOf: (key) => this.#inForce.get(key),
      table: this.table,
      duplicates: this.#duplicates,
      claims: this.#claims,
      quotas: this.#quotas,
      cluster: this.#ports.cluster,
      clock: this.#ports.clock,
      bucket: this.#settings.bucket,
      registry: () => this.writer.health(),
      viewFresh: (namespace: string) => this.viewFresh && this.#caughtUp && this.#outage.isFresh(namespace),
      outage: () => !this.viewFresh,
      stretch: () => this.table.stretch,
      clockSkewSeconds: () => this.writer.clockSkew.seconds,
      holding: (registration) => this.#holding.of(registration),
      voice: () => this.voice,
      busy: () => this.#registrations.reading().depth > STATUS_BACKLOG,
      onStatus: (registration, before, after) => {
        if (!this.viewFresh) this.#apiAnswered();
        this.#reporter.status(registration, before, after);
      },
      onConflict: this.#reporter.podConflict,
      onProblems: this.#reporter.registrationProblems,
      later: (key, delayMs) => this.#registrations.addAfter(key, delayMs),
    });
    const ownedContext = {
      views: this.#ports.views,
      registrationsOf: (namespace: string) => this.#inForce.of(namespace),
      defaults: this.#defaults,
      cluster: this.#ports.cluster,
      speaks: () => this.voice !== 'silent',
      isSure: (namespace: string) =>
        this.#knows(namespace) &&
        this.#outage.isFresh(namespace) &&
        this.held === 0 &&
        !allViews(this.#ports.views).some(({ doubted }) => doubted),
      onUnsure: (key: OwnedKey) => this.#owned.addAfter(key, CONFIRM_AFTER_MS),
      knows: (namespace: string) => this.#knows(namespace),
      onUnknown: (key: OwnedKey) => this.#owned.addAfter(key, UNKNOWN_LOOK_MS),
      onPlan: this.#reporter.plan,
    };
    await Promise.all([
      this.#pods.run((key) => reconcilePod(podContext, key), failures.of('pod'), signal),
      ...Array.from({ length: 1 + STATUS_HELPERS }, (_, helper) =>
        this.#registrations.run(
          (key, until) => registrations.reconcile(key, until),
          failures.of('serviceregistration'),
          signal,
          helper === 0 ? 0 : STATUS_BACKLOG,
        ),
      ),
      this.#owned.run((key, until) => reconcileOwned(ownedContext, key, until), failures.of('owned'), signal),
      this.#gates.run(failures.of('readinessgate'), signal),
      this.#watchFreshness(signal),
      this.#visibility.run(signal),
      this.#outage.probes.run(signal),
      mirrorLease(
        {
          ...this.#ports,
          namespace: this.#settings.leaseNamespace,
          holder: this.#settings.replicaId,
          term: () => this.writer.term,
          onFailure: () => this.#ports.observer.leaseFailed(),
        },
        signal,
      ),
      this.writer.run(signal),
    ]);
  }

  /**
   * What keeps this replica from doing its part, in a sentence; undefined: nothing. Not the registry, once it was well: a
   * replica cannot help that. But a new one that cannot reach it, as by a wrong setting, must not replace those that can.
   */
  get notReady(): string | undefined {
    const problem = allViews(this.#ports.views).flatMap((view) => view.problems)[0];
    if (problem !== undefined) return problem;
    if (!this.#warm) return 'the cluster has not been listed completely yet';
    if (!this.writer.neverLed) return undefined;
    const health = this.writer.health();
    return `no replica is known to lead yet${health.kind === 'broken' ? `: ${health.message}` : ''}`;
  }

  /** It leads, and everything that is known was acted upon. Asks every row. */
  get settled(): boolean {
    const noticed = this.#warm && this.#voice === this.voice && this.#fresh === this.viewFresh;
    const idle = this.#pods.idle && this.#registrations.idle && this.#owned.idle;
    return noticed && idle && this.writer.leading && this.table.idle;
  }

  /** Whether this replica speaks for the installation: not before it knows what there is. */
  get voice(): Voice {
    return this.#warm ? this.writer.voice : 'silent';
  }

  /** Objects and keys that the brake holds although they are not to be seen. */
  get held(): number {
    return this.#holding.held;
  }

  /** Nodes that do not renew their leases: those that count as lost, and those that the brake holds. */
  get nodes(): { readonly silent: number; readonly held: number } {
    return this.#holding.nodes;
  }

  get judgedNodes(): JudgedNodes {
    return this.#nodes.judged;
  }

  /** Pods that are Ready but for our readiness gate. */
  get gatesWaiting(): number {
    return this.#gates.waiting;
  }

  /** Pods whose keys probes decide about once the API server is away. */
  get probesJudged(): number {
    return this.#outage.probes.judged;
  }

  get viewFresh(): boolean {
    return this.#outage.sight !== 'blind';
  }

  queues(): Readonly<Record<string, QueueReading>> {
    return {
      pod: this.#pods.reading(),
      serviceregistration: this.#registrations.reading(),
      owned: this.#owned.reading(),
      readinessgate: this.#gates.reading(),
    };
  }

  /**
   * The age of the oldest refresh among live keys, in seconds, and the largest share of its TTL that the age of one is: 1/3
   * just before an ordinary refresh, 1 when it lapses. 0 without keys or while another replica leads.
   */
  get oldestRefresh(): { readonly ageSeconds: number; readonly ttlShare: number } {
    if (!this.writer.leading) return { ageSeconds: 0, ttlShare: 0 };
    const nowMs = this.#ports.clock.monotonicMs();
    let [ageMs, ttlShare] = [0, 0];
    for (const row of this.table.rows()) {
      const { wish, observed, tenure } = row;
      if (tenure === 'retired' || wish.state.kind !== 'live' || observed.kind !== 'ours') continue;
      // Let go on purpose.
      if (!this.#outage.mayKeep(row)) continue;
      const itsMs = nowMs - observed.writtenAtMs;
      ageMs = Math.max(ageMs, itsMs);
      ttlShare = Math.max(ttlShare, itsMs / observed.ttlMs);
    }
    return { ageSeconds: ageMs / 1_000, ttlShare };
  }

  /** The rules that decide about a pod, as they are asked of it now. */
  asked(pod: ObjectKey): readonly Asked[] {
    const asked: Asked[] = [];
    reconcilePod({ ...this.#podContext(), trace: (one) => asked.push(one) }, pod);
    return asked;
  }

  /** Why a pod that a registration selects has no place in the registry all the same; undefined: nothing hinders it. */
  hindrance(pod: PodView, registration: ObjectKey): 'QuotaExceeded' | 'SameInstanceId' | undefined {
    if (!this.#quotas.isWithin(pod.key, registration)) return 'QuotaExceeded';
    return this.table.isBlocked(pod.key, pod.uid, registration) ? 'SameInstanceId' : undefined;
  }

  #podContext(): PodReconcilerContext {
    return {
      views: this.#ports.views,
      registrationsOf: (namespace: string) => this.#inForce.grantedOf(namespace),
      defaults: this.#defaults,
      claims: this.#claims,
      quotas: this.#quotas,
      table: this.table,
      duplicates: this.#duplicates,
      offset: this.#settings.offset,
      nodes: this.#nodes,
      onReport: (registration: ObjectKey) => this.#registrations.add(registration),
      onExcess: (pod: PodView, services: readonly string[]) =>
        this.#reporter.excess(pod, services, this.#quotas.description),
      onMoved: (pod: ObjectKey) => this.#pods.add(pod),
      onAwaited: (pod: ObjectKey) => this.#pods.addAfter(pod, NODE_AWAITED_LOOK_MS),
      knows: (namespace: string) => this.#knows(namespace),
      onUnknown: (pod: ObjectKey) => this.#pods.addAfter(pod, UNKNOWN_LOOK_MS),
      onProblems: this.#reporter.podProblems,
      onLeftOut: this.#reporter.leftOut,
    };
  }

  #noteStretch(factor: number): void {
    const { maxWritesPerSecond } = this.#settings;
    const fields = { factor: Math.round(factor * 100) / 100, keys: this.table.size, maxWritesPerSecond };
    this.#ports.log.warn(fields, factor > 1 ? 'the write budget stretches all intervals' : 'no interval is stretched');
    this.#triggers.reconcileReports();
  }

  async #watchFreshness(signal: AbortSignal): Promise<void> {
    const { clock, views, log } = this.#ports;
    while (!signal.aborted) {
      this.#nodes.look();
      if (!this.#listed && this.#isListed()) {
        this.#listed = true;
        const unread = [views.nodes, views.leases].flatMap(({ problems }) => problems);
        if (unread.length > 0)
          log.warn({ problems: unread }, 'no node counts as lost, because nodes are not to be read');
        this.writer.wake();
        for (const pod of views.pods.values()) {
          this.#pods.add(pod.key);
          this.#gates.podChanged(pod.key, pod);
        }
      }
      if (this.#listed && !this.#warm && this.#pods.idle) {
        this.#warm = true;
        log.info({ pods: views.pods.size, registrations: views.registrations.size }, 'cluster listed');
        this.writer.wake();
        this.#triggers.reconcileOwned();
      }
      if (this.#fresh !== this.viewFresh) {
        this.#fresh = this.viewFresh;
        this.#caughtUp = !this.#warm;
        this.#freshSinceMs = clock.monotonicMs();
        this.#heardAtMs = this.#lastHeardMs();
        this.#toldOfBlindness = false;
        if (this.#warm) log.info({ fresh: this.#fresh }, 'view of the cluster');
        this.#triggers.reconcileReports();
      } else if (!this.#fresh && this.#lastHeardMs() > this.#heardAtMs) this.#apiAnswered();
      else if (this.#fresh && !this.#caughtUp && this.#hasCaughtUp()) {
        this.#caughtUp = true;
        this.#triggers.reconcileReports();
      }
      const stale = this.#staleNamespaces();
      if (this.#stale !== stale) {
        this.#stale = stale;
        this.#triggers.reconcileReports();
      }
      this.#holding.letGo();
      this.#followNodes();
      this.#holding.tell();
      if (this.#fresh && this.#listed) {
        const isConfirmed = !allViews(views).some(({ doubted }) => doubted);
        const atMs = (namespace: string) => this.#outage.provenAtMs(namespace);
        for (const key of this.table.unseenPods({ isConfirmed, atMs })) this.#pods.add(key);
      }
      if (this.#voice !== this.voice) {
        this.#voice = this.voice;
        if (this.#voice !== 'silent') for (const key of this.#reporter.takeMissed()) this.#pods.add(key);
        this.#triggers.reconcileReports();
        this.#triggers.reconcileOwned();
        for (const { name } of views.namespaces.values()) this.#triggers.tellDefaults(name);
      }
      await clock.sleep(this.#warm ? WATCH_FRESHNESS_EVERY_MS : 20, signal);
    }
  }

  /** Nodes and leases are not waited for where they may not be read. */
  #isListed(): boolean {
    const { views } = this.#ports;
    const readable = [views.nodes, views.leases].filter(({ problems }) => problems.length === 0);
    return [...allViews(views), ...readable].every((view) => view.synced);
  }

  #staleNamespaces(): string {
    if (!this.viewFresh) return '';
    return [...this.#ports.views.registrations.namespaces()].filter((name) => !this.#outage.isFresh(name)).join();
  }

  /** All that counts for a pod of the namespace has been listed at least once. */
  #knows(namespace: string): boolean {
    return allViews(this.#ports.views).every((view) => view.knows(namespace));
  }

  /** Pods whose node is judged otherwise than before are decided about again. */
  #followNodes(): void {
    if (!this.#listed) return;
    this.#nodesFollowedAtMs = this.#ports.clock.monotonicMs();
    const names = this.#nodes.takeChanged();
    if (names.size === 0) return;
    for (const { key, node } of this.#ports.views.pods.values()) {
      if (node !== undefined && names.has(node)) this.#pods.add(key);
    }
  }

  /** The API server answers, but what it shows is not known to be right yet: every status says so, and at once. */
  #apiAnswered(): void {
    if (this.#toldOfBlindness) return;
    this.#toldOfBlindness = true;
    this.#triggers.reconcileReports();
  }

  #lastHeardMs(): number {
    return Math.max(...allViews(this.#ports.views).map((view) => view.lastProofAtMs));
  }

  #hasCaughtUp(): boolean {
    if (this.#ports.clock.monotonicMs() - this.#freshSinceMs > CATCH_UP_WITHIN_MS) return true;
    return this.#pods.idle && this.table.waiting.urgent === 0;
  }

  // ---- answers for the writer ----

  #settingsOf(namespace: string, serviceName: string): OrphanSettings {
    const candidates = this.#inForce
      .of(namespace)
      .filter((candidate) => this.#claims.registryName(namespace, candidate.serviceName ?? '') === serviceName);
    // An invalid one first: of it the table may know nothing yet, of the pods of others it does.
    const registration = candidates.find(({ settings: its }) => its.kind === 'invalid') ?? candidates[0];
    if (registration === undefined) return this.#settings.defaults;
    const { key, settings } = registration;
    if (settings.kind === 'invalid') return { ...this.#settings.defaults, registration: key, invalid: true };
    return { ...settings.value, registration: key };
  }

  #writerObserver(): WriterObserver {
    const { observer, clock } = this.#ports;
    return {
      written: (write) => {
        observer.written(write.reason);
        if (write.reason === 'Refresh') return;
        // A key that is written again after it was lost tells nothing of how fast a pod is registered.
        const { wishedAtMs } = write.row;
        if (write.reason === 'Registered' && wishedAtMs !== SETTLED && isShown(write.row)) {
          observer.acknowledged(clock.monotonicMs() - wishedAtMs);
          this.#visibility.offer(subjectOf(this.#settings.bucket, write.row.key), wishedAtMs);
        }
        this.#reporter.written(write);
        this.#gates.acknowledged(write.wish.pod);
      },
      batch: (outcome, keys, tookMs) => observer.batch(outcome, keys, tookMs),
      // After an outage that may be all of them: told once per resource, and not one by one.
      missing: (rows, lapsed) => {
        if (lapsed > 0) observer.lapsed(lapsed);
        this.#reporter.missing(rows);
      },
      lapsed: (row) => {
        observer.lapsed();
        this.#reporter.lapsed(row);
      },
      conflict: (row) => {
        observer.conflict();
        this.#reporter.conflict(row);
      },
      audited: (found) => observer.audited(found),
    };
  }
}
