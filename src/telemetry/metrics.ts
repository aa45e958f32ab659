// Everything that is measured, under the names of controller-runtime and client-go where they have one. No label ever
// names a pod: a metric's size does not grow with the cluster.

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { ProbeOutcome } from '../controllers/prober.ts';
import type { QueueObserver, QueueReading } from '../controllers/work-queue.ts';
import type { Findings } from '../writer/audit.ts';

const FAST_SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

const LAG_RESOLUTION_MS = 10;

/** Values asked for when somebody scrapes. */
export type Readings = {
  readonly leading: () => boolean;
  readonly keysOwned: () => number;
  /** Seconds since the last write of the key that was not written for the longest time; 0 without keys. */
  readonly oldestRefresh: () => { readonly ageSeconds: number; readonly ttlShare: number };
  /** Seconds since the API server last proved each view. */
  readonly viewAgesSeconds: () => Readonly<Record<string, number>>;
  /** Objects and keys that the brake holds. */
  readonly held: () => number;
  /** Nodes that count as lost, because they do not renew their leases, and those that the brake holds. */
  readonly nodes: () => { readonly silent: number; readonly held: number };
  /** Pods that are Ready but for our readiness gate. */
  readonly gatesWaiting: () => number;
  /** Pods that answered a probe, so that probes decide about their keys once the API server is away. */
  readonly probesJudged: () => number;
  /** The replica that holds the lock, as far as this one knows. */
  readonly holder: () => string | undefined;
  /** By what factor the write budget stretches all intervals. */
  readonly stretch: () => number;
  /** The NATS server's clock minus ours. */
  readonly clockOffsetSeconds: () => number;
  /** `Writable`, or the reason of the status that says why it is not. */
  readonly registry: () => string;
  /** Of the bucket; undefined: it has no limit, or was not seen. */
  readonly bucketRoom: () => { readonly bytes: number; readonly maxBytes: number } | undefined;
  readonly queues: () => Readonly<Record<string, QueueReading>>;
};

export class Metrics {
  readonly #registry = new Registry();
  readonly #lag = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
  readonly #queueAdds = this.#counter('workqueue_adds_total', 'Keys added to a work queue', ['name']);
  readonly #queueRetries = this.#counter('workqueue_retries_total', 'Keys that came back after a failure', ['name']);
  readonly #queueWait = this.#histogram('workqueue_queue_duration_seconds', 'Time a key waited in a work queue', [
    'name',
  ]);
  readonly #queueWork = this.#histogram('workqueue_work_duration_seconds', 'Time the work on a key took', ['name']);
  readonly #reconciles = this.#counter('controller_runtime_reconcile_total', 'Reconciles', ['controller', 'result']);
  readonly #reconcileErrors = this.#counter('controller_runtime_reconcile_errors_total', 'Failed reconciles', [
    'controller',
  ]);
  readonly #reconcileTime = this.#histogram('controller_runtime_reconcile_time_seconds', 'Time of a reconcile', [
    'controller',
  ]);
  readonly #requests = this.#counter('rest_client_requests_total', 'Requests to the Kubernetes API', [
    'code',
    'method',
  ]);
  readonly #batches = this.#histogram('rollcall_batch_duration_seconds', 'Time from sending a batch to its answer', [
    'outcome',
  ]);
  readonly #batchKeys = new Histogram({
    name: 'rollcall_batch_keys',
    help: 'Keys in a batch, without the lock',
    buckets: [0, 1, 5, 20, 50, 100, 250, 499],
    registers: [this.#registry],
  });
  readonly #writes = this.#counter('rollcall_writes_total', 'Acknowledged writes of keys', ['reason']);
  /** Once per key written: looking the labels up each time would cost more than counting. */
  readonly #writesBy = new Map<string, Counter.Internal>();
  readonly #acknowledged = this.#histogram(
    'rollcall_ready_to_acknowledged_seconds',
    'Time from learning that a pod is Ready to the acknowledged key',
    [],
  );
  readonly #visible = this.#histogram(
    'rollcall_ready_to_visible_seconds',
    'Time from learning that a pod is Ready until a consumer of ours was given its key, of one key in five seconds',
    [],
  );
  readonly #lapses = this.#counter('rollcall_lapses_total', 'Keys of Ready pods that were found gone', []);
  readonly #probes = this.#counter('rollcall_probes_total', 'TCP probes of pods', ['outcome']);
  readonly #leaseFailures = this.#counter(
    'rollcall_lease_failures_total',
    'Times that the Lease which shows who leads was not written',
    [],
  );
  readonly #conflicts = this.#counter('rollcall_conflicts_total', 'Keys found to be held by somebody else', []);

  readonly #drift = this.#counter(
    'rollcall_watch_drift_total',
    'Objects that a relist found otherwise than their watch had told',
    ['resource'],
  );
  readonly #audits = this.#counter('rollcall_audits_total', 'Comparisons of the registry with what it should be', []);
  #found: Findings | undefined;

  /** Begins to answer scrapes with these readings. */
  observe(readings: Readings): void {
    this.#lag.enable();
    this.#gauge('leader_election_master_status', 'Whether this replica holds the lock', ['name'], (gauge) =>
      gauge.set({ name: 'rollcall' }, readings.leading() ? 1 : 0),
    );
    this.#gauge(
      'rollcall_lock_holder',
      'The replica that holds the lock, as far as this one knows',
      ['holder'],
      (gauge) => {
        gauge.reset();
        const holder = readings.holder();
        if (holder !== undefined) gauge.set({ holder }, 1);
      },
    );
    this.#gauge('rollcall_keys_owned', 'Keys of the registry that this replica keeps', [], (gauge) =>
      gauge.set(readings.keysOwned()),
    );
    this.#gauge('rollcall_oldest_refresh_age_seconds', 'Age of the oldest refresh among the keys kept', [], (gauge) =>
      gauge.set(readings.oldestRefresh().ageSeconds),
    );
    this.#gauge(
      'rollcall_refresh_ttl_share',
      'Age over TTL of the key kept that is nearest to its lapse',
      [],
      (gauge) => gauge.set(readings.oldestRefresh().ttlShare),
    );
    this.#gauge('rollcall_view_age_seconds', 'Time since the API server last proved a view', ['kind'], (gauge) => {
      for (const [kind, age] of Object.entries(readings.viewAgesSeconds())) gauge.set({ kind }, age);
    });
    this.#gauge('rollcall_held', 'Objects and keys kept although they are not to be seen: the brake', [], (gauge) =>
      gauge.set(readings.held()),
    );
    this.#gauge('rollcall_nodes_silent', 'Nodes that do not renew their leases, and count as lost', [], (gauge) =>
      gauge.set(readings.nodes().silent),
    );
    this.#gauge(
      'rollcall_nodes_held',
      'Nodes that look lost, so many that nothing is concluded from it: the brake',
      [],
      (gauge) => gauge.set(readings.nodes().held),
    );
    this.#gauge(
      'rollcall_audit_keys',
      'Keys that the last audit of the leader found: ghosts (of no pod), missing (of a Ready pod), drifted (other bytes), foreign (of others), compared (all)',
      ['found'],
      (gauge) => {
        gauge.reset();
        if (!readings.leading()) return;
        for (const [found, keys] of Object.entries(this.#found ?? {})) gauge.set({ found }, keys);
      },
    );
    this.#gauge('rollcall_readiness_gates_waiting', 'Pods that are Ready but for our readiness gate', [], (gauge) =>
      gauge.set(readings.gatesWaiting()),
    );
    this.#gauge(
      'rollcall_pods_probed',
      'Pods that answered their last TCP probe with the API server in sight',
      [],
      (gauge) => gauge.set(readings.probesJudged()),
    );
    this.#gauge(
      'rollcall_refresh_stretch',
      'Factor by which --max-writes-per-second stretches all refresh intervals; 1: not at all',
      [],
      (gauge) => gauge.set(readings.stretch()),
    );
    this.#gauge(
      'rollcall_clock_offset_seconds',
      'Clock of the NATS server minus that of this replica, as last measured',
      [],
      (gauge) => gauge.set(readings.clockOffsetSeconds()),
    );
    this.#gauge(
      'rollcall_registry_status',
      'What this replica last found of the registry: 1 for Writable, or for the reason why it is not (RegistryUnavailable, RegistryUnsupported, RegistryDenied, RegistryFull)',
      ['reason'],
      (gauge) => {
        gauge.reset();
        gauge.set({ reason: readings.registry() }, 1);
      },
    );
    this.#gauge('rollcall_bucket_bytes', 'Bytes in a bucket that has a limit', [], (gauge) =>
      setOrRemove(gauge, readings.bucketRoom()?.bytes),
    );
    this.#gauge('rollcall_bucket_max_bytes', 'Bytes that the bucket takes, if it has a limit', [], (gauge) =>
      setOrRemove(gauge, readings.bucketRoom()?.maxBytes),
    );
    this.#queueGauge('workqueue_depth', 'Keys that wait in a work queue', readings, ({ depth }) => depth);
    this.#queueGauge(
      'workqueue_unfinished_work_seconds',
      'Time spent so far on the keys that are worked on',
      readings,
      ({ workingSeconds }) => workingSeconds.reduce((sum, seconds) => sum + seconds, 0),
    );
    this.#queueGauge(
      'workqueue_longest_running_processor_seconds',
      'Time spent so far on the key that is worked on for the longest',
      readings,
      ({ workingSeconds }) => Math.max(0, ...workingSeconds),
    );
    this.#gauge(
      'rollcall_event_loop_lag_seconds',
      'Delay of the event loop since the last scrape',
      ['quantile'],
      (gauge) => {
        // What is sampled includes the pause between two samples.
        const seconds = (ns: number) => Math.max(0, ns / 1e9 - LAG_RESOLUTION_MS / 1_000);
        gauge.set({ quantile: '0.5' }, seconds(this.#lag.percentile(50)));
        gauge.set({ quantile: '0.99' }, seconds(this.#lag.percentile(99)));
        gauge.set({ quantile: '1' }, seconds(this.#lag.max));
        this.#lag.reset();
      },
    );
    this.#gauge('process_resident_memory_bytes', 'Resident memory', [], (gauge) =>
      gauge.set(process.memoryUsage.rss()),
    );
    new Counter({
      name: 'process_cpu_seconds_total',
      help: 'User and system CPU time',
      registers: [this.#registry],
      collect() {
        const { user, system } = process.cpuUsage();
        this.reset();
        this.inc((user + system) / 1e6);
      },
    });
  }

  /** The text that Prometheus reads, and its content type. */
  async scrape(): Promise<{ readonly text: string; readonly contentType: string }> {
    return { text: await this.#registry.metrics(), contentType: this.#registry.contentType };
  }

  queue(name: string): QueueObserver {
    return {
      added: () => this.#queueAdds.inc({ name }),
      retried: () => this.#queueRetries.inc({ name }),
      worked: (outcome, waitedMs, tookMs) => {
        this.#queueWait.observe({ name }, waitedMs / 1_000);
        this.#queueWork.observe({ name }, tookMs / 1_000);
        this.#reconciles.inc({ controller: name, result: outcome });
        if (outcome === 'error') this.#reconcileErrors.inc({ controller: name });
        this.#reconcileTime.observe({ controller: name }, tookMs / 1_000);
      },
    };
  }

  request(method: string, code: string): void {
    this.#requests.inc({ method, code });
  }

  batch(outcome: string, keys: number, tookMs: number): void {
    this.#batches.observe({ outcome }, tookMs / 1_000);
    this.#batchKeys.observe(keys);
  }

  written(reason: string): void {
    let counter = this.#writesBy.get(reason);
    if (counter === undefined) this.#writesBy.set(reason, (counter = this.#writes.labels(reason)));
    counter.inc();
  }

  acknowledged(tookMs: number): void {
    this.#acknowledged.observe(tookMs / 1_000);
  }

  visible(tookMs: number): void {
    this.#visible.observe(tookMs / 1_000);
  }

  lapsed(keys = 1): void {
    this.#lapses.inc(keys);
  }

  audited(found: Findings): void {
    this.#audits.inc();
    this.#found = found;
  }

  drifted(resource: string, objects: number): void {
    this.#drift.inc({ resource }, objects);
  }

  conflict(): void {
    this.#conflicts.inc();
  }

  leaseFailed(): void {
    this.#leaseFailures.inc();
  }

  probed(outcome: ProbeOutcome): void {
    this.#probes.inc({ outcome });
  }

  #counter(name: string, help: string, labelNames: string[]): Counter {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  #histogram(name: string, help: string, labelNames: string[]): Histogram {
    return new Histogram({ name, help, labelNames, buckets: FAST_SECONDS, registers: [this.#registry] });
  }

  #queueGauge(name: string, help: string, readings: Readings, read: (queue: QueueReading) => number): void {
    this.#gauge(name, help, ['name'], (gauge) => {
      for (const [queue, reading] of Object.entries(readings.queues())) gauge.set({ name: queue }, read(reading));
    });
  }

  #gauge(name: string, help: string, labelNames: string[], collect: (gauge: Gauge) => void): void {
    new Gauge({
      name,
      help,
      labelNames,
      registers: [this.#registry],
      collect() {
        collect(this);
      },
    });
  }
}

const setOrRemove = (gauge: Gauge, value: number | undefined): void => {
  if (value === undefined) gauge.remove();
  else gauge.set(value);
};
