// Opens the readiness gates of pods whose keys are acknowledged, and says why others stay closed. What a gate should say is
// `domain/readiness-gate.ts`'s to decide; here the pods that wait are kept, and the pod condition is written: by few
// workers of its own, with backoff, so that a slow API server holds up nothing else.

import type { Clock, Random } from '../clock.ts';
import type { EventReason } from '../domain/event-reasons.ts';
import { namespaceOf, type ObjectKey, objectKey, type PodView } from '../domain/pod.ts';
import { gateCondition } from '../domain/pod-readiness.ts';
import { type GateReason, type GateStep, gateStep } from '../domain/readiness-gate.ts';
import type { RegistryHealth } from '../domain/registration-status.ts';
import { formatSeconds } from '../domain/timestamp.ts';
import type { Log } from '../log.ts';
import type { InstanceTable } from '../table/instance-table.ts';
import type { Voice } from '../writer/writer.ts';
import type { Cluster, EventSink } from './cluster.ts';
import type { Denial } from './denials.ts';
import type { Views } from './views.ts';
import { type QueueObserver, type QueueReading, WorkQueue } from './work-queue.ts';

/** Patches under way at the same time. */
const WORKERS = 4;
/** Pods that wait are looked at again this often: their time limits run, and most reasons change without a word to us. */
const LOOK_EVERY_MS = 2_000;
/** A replica that led last, and cannot hear that another does, leaves a pod to that one for so long. */
const LEADER_FIRST_MS = 2_000;
/** After a write its echo in the view is awaited for this long before it is written again. */
const ECHO_MS = 5_000;

export type ReadinessGatesContext = {
  readonly views: Views;
  readonly table: InstanceTable;
  readonly cluster: Cluster;
  readonly events: EventSink;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly queue: QueueObserver;
  readonly denialOf: (pod: PodView) => Denial | undefined;
  readonly registry: () => RegistryHealth;
  readonly unwellForMs: () => number;
  readonly voice: () => Voice;
};

/** Absent: gates are left alone. */
export type ReadinessGatesSettings = { readonly annotationPrefix: string; readonly timeoutMs: number };

/** A pod that is Ready but for its gate. */
type Waiting = {
  readonly uid: string;
  readonly sinceMs: number;
  said?: { readonly text: string; readonly atMs: number };
};

type Told = Exclude<GateStep, { kind: 'wait' }>;

export class ReadinessGates {
  readonly #context: ReadinessGatesContext;
  readonly #settings: ReadinessGatesSettings | undefined;
  readonly #waiting = new Map<ObjectKey, Waiting>();
  readonly #queue: WorkQueue<ObjectKey>;
  #warned = false;

  constructor(context: ReadinessGatesContext, settings: ReadinessGatesSettings | undefined) {
    this.#context = context;
    this.#settings = settings;
    this.#queue = new WorkQueue(context.clock, context.random, context.queue, namespaceOf);
  }

  /** Pods that are Ready but for their gate. */
  get waiting(): number {
    return this.#waiting.size;
  }

  reading(): QueueReading {
    return this.#queue.reading();
  }

  /** A pod came, changed or (undefined) went. */
  podChanged(key: ObjectKey, pod: PodView | undefined): void {
    if (pod === undefined || !isWaiting(pod)) {
      this.#waiting.delete(key);
      return;
    }
    if (this.#waiting.get(key)?.uid === pod.uid) return;
    this.#waiting.set(key, { uid: pod.uid, sinceMs: this.#context.clock.monotonicMs() });
    if (this.#settings !== undefined) this.#queue.add(key);
    else this.#warnOnce(key);
  }

  /** A key of the pod is being acknowledged. */
  acknowledged({ namespace, name }: { readonly namespace: string; readonly name: string }): void {
    if (this.#settings === undefined || this.#waiting.size === 0) return;
    const key = objectKey(namespace, name);
    if (this.#waiting.has(key)) this.#queue.add(key);
  }

  /** Runs until the signal aborts. */
  async run(onError: (key: string, error: unknown) => void, signal: AbortSignal): Promise<void> {
    const settings = this.#settings;
    if (settings === undefined) return;
    const work = (key: ObjectKey, until: AbortSignal) => this.#reconcile(settings, key, until);
    await Promise.all([
      ...Array.from({ length: WORKERS }, () => this.#queue.run(work, onError, signal)),
      this.#lookAgain(signal),
    ]);
  }

  async #lookAgain(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#context.clock.sleep(LOOK_EVERY_MS, signal);
      for (const key of this.#waiting.keys()) this.#queue.remind(key);
    }
  }

  async #reconcile(settings: ReadinessGatesSettings, key: ObjectKey, signal: AbortSignal): Promise<void> {
    const { views, clock, cluster } = this.#context;
    const pod = views.pods.get(key);
    const waiting = this.#waiting.get(key);
    if (pod?.gate?.kind !== 'closed' || waiting?.uid !== pod.uid) return;
    const nowMs = clock.monotonicMs();
    const step = this.#stepOf(pod, settings, nowMs - waiting.sinceMs);
    if (step.kind === 'wait' || !this.#maySay(step, pod.gate, settings, nowMs - waiting.sinceMs)) return;
    const text = `${step.kind} ${step.reason} ${step.message}`;
    const isStored = step.kind === 'refuse' && pod.gate.reason === step.reason && pod.gate.message === step.message;
    const isEchoing = waiting.said?.text === text && nowMs - waiting.said.atMs < ECHO_MS;
    if (isStored || isEchoing) return;
    const isTransition = step.kind === 'open' || pod.gate.reason === undefined;
    const condition = {
      type: gateCondition(settings.annotationPrefix),
      status: step.kind === 'open' ? 'True' : 'False',
      reason: step.reason,
      message: step.message,
      ...(isTransition ? { lastTransitionTime: formatSeconds(clock.wallMs()) } : {}),
    } as const;
    const outcome = await cluster.patchPodCondition(pod, condition, signal);
    // Of another incarnation, or gone: its own change has come, or will.
    if (outcome.kind === 'notFound' || outcome.kind === 'conflict') return;
    if (outcome.kind !== 'done') throw new Error(`readiness gate not written: ${outcome.description}`);
    if (waiting.said?.text !== text) this.#tell(pod, step);
    waiting.said = { text, atMs: nowMs };
  }

  #stepOf(pod: PodView, { timeoutMs }: ReadinessGatesSettings, waitedMs: number): GateStep {
    const { table, views, denialOf, registry, unwellForMs } = this.#context;
    const reports = table.reportsOfPod(pod.key, pod.uid);
    const denial = reports.length === 0 ? denialOf(pod) : undefined;
    const invalid: string[] = [];
    if (reports.length === 0) {
      for (const { name, settings } of views.registrations.byNamespace(pod.namespace)) {
        if (settings.kind === 'invalid') invalid.push(`ServiceRegistration ${name}`);
      }
    }
    return gateStep({
      reports,
      ...(denial === undefined ? {} : { denial }),
      keptOut: pod.annotations['register'] === 'false',
      invalid,
      registry: registry(),
      unwellForMs: unwellForMs(),
      waitedMs,
      timeoutMs,
    });
  }

  /**
   * The leader says everything; who else speaks only opens, which cannot be wrong twice, and what a leader would have
   * registered by then. A replica that has no say may be
   * the only one left without a registry: it opens what somebody who has a say would have spoken of long ago.
   */
  #maySay(
    step: Told,
    gate: { readonly reason?: string },
    { timeoutMs }: ReadinessGatesSettings,
    waitedMs: number,
  ): boolean {
    const voice = this.#context.voice();
    if (voice === 'leader') return true;
    if (step.kind !== 'open') return false;
    if (voice !== 'silent') return step.reason === 'Registered' || waitedMs >= LEADER_FIRST_MS;
    return step.reason !== 'Registered' && gate.reason === undefined && waitedMs >= timeoutMs;
  }

  #tell({ namespace, name, uid }: PodView, { kind, reason, message: note }: Told): void {
    const told = kind === 'refuse' ? TOLD[reason] : reason === 'Registered' ? undefined : 'RegistryUnavailable';
    if (told === undefined) return;
    this.#context.events.emit({
      regarding: { apiVersion: 'v1', kind: 'Pod', namespace, name, uid },
      type: 'Warning',
      reason: told,
      action: 'OpenReadinessGate',
      note,
    });
  }

  #warnOnce(pod: ObjectKey): void {
    if (this.#warned) return;
    this.#warned = true;
    this.#context.log.warn({ pod }, 'a pod waits for the readiness gate of Rollcall, and --readiness-gates is off');
  }
}

/** Refusals that are Events on the pod. Others have theirs where they are found, or are not news. */
const TOLD: Partial<Record<GateReason, EventReason>> = { NotSelected: 'NotSelected', NameDenied: 'NameDenied' };

const isWaiting = (pod: PodView): boolean =>
  pod.gate?.kind === 'closed' && pod.ready && !pod.deleting && pod.phase !== 'Succeeded' && pod.phase !== 'Failed';
