// Reconciles one ServiceRegistration: says in its status what the table knows. Written only when it changed; the first
// change at once, then at most once per resource per 2 s, and never for a refresh.

import type { Clock } from '../clock.ts';
import type { AnnotationProblem } from '../domain/annotations.ts';
import { DETAILS_MAX } from '../domain/crd-status-schema.ts';
import type { Holding } from '../domain/limitations.ts';
import { type ObjectKey, objectKey, type PodView } from '../domain/pod.ts';
import { asList, asObject } from '../domain/raw.ts';
import {
  type InstanceReport,
  type RegistrationStatus,
  type RegistryHealth,
  sameStatus,
  summarise,
} from '../domain/registration-status.ts';
import { releaseProblem } from '../domain/release-brake.ts';
import type { RegistrationView } from '../domain/service-registration.ts';
import type { InstanceTable } from '../table/instance-table.ts';
import type { Voice } from '../writer/writer.ts';
import type { Claims } from './claims.ts';
import type { Cluster } from './cluster.ts';
import type { Duplicates } from './duplicates.ts';
import type { InstanceQuotas } from './instance-quotas.ts';
import type { Views } from './views.ts';

const WRITE_EVERY_MS = 2_000;
/** After a write its echo in the view is awaited for this long before the view is believed again. */
const ECHO_MS = 5_000;

/**
 * A patch of a status costs the API server 10 ms of CPU, more than anything else we ask of it, and delays what it tells of
 * pods meanwhile. So unless many wait, it gets its breath back after each.
 */
const PAUSE_MS = 100;

export type RegistrationReconcilerContext = {
  readonly views: Views;
  /** With the settings in force in its namespace. */
  readonly registrationOf: (key: ObjectKey) => RegistrationView | undefined;
  readonly table: InstanceTable;
  readonly duplicates: Duplicates;
  readonly claims: Pick<Claims, 'of' | 'registryName'>;
  readonly quotas: InstanceQuotas;
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly bucket: string;
  readonly registry: () => RegistryHealth;
  /** What the views say is right, and acted upon. */
  readonly viewFresh: (namespace: string) => boolean;
  /** The API server cannot be heard: keys are kept up by their `apiOutage`. */
  readonly outage: () => boolean;
  /** By what factor the write budget stretches all intervals. */
  readonly stretch: () => number;
  /** The NATS server's clock minus ours, as far as it is worth telling. */
  readonly clockSkewSeconds: () => number;
  /** A brake holds something. */
  readonly holding: (registration: RegistrationView) => Holding | undefined;
  readonly voice: () => Voice;
  /** So many statuses wait that none may be taken slowly. */
  readonly busy: () => boolean;
  /** A status was written. */
  readonly onStatus: (registration: RegistrationView, before: unknown, after: RegistrationStatus) => void;
  /** The pod has no key under the registration, because an older pod or registration has the better right to it. */
  readonly onConflict: (pod: PodView, report: InstanceReport, registration: RegistrationView) => void;
  /** Annotations of the resource that are no good; none: they may be again. */
  readonly onProblems: (registration: RegistrationView, problems: readonly AnnotationProblem[]) => void;
  readonly later: (key: ObjectKey, delayMs: number) => void;
};

/** Looking at a service of 10,000 pods takes 20 ms: a resource is looked at for one part in so many of the time. */
const LOOK_SHARE = 10;

/** Nobody waits for the echo of what was not written. */
const LONG_AGO = Number.NEGATIVE_INFINITY;

type Written = { readonly uid: string; readonly status: RegistrationStatus; readonly atMs: number };

export class RegistrationReconciler {
  readonly #context: RegistrationReconcilerContext;
  readonly #written = new Map<ObjectKey, Written>();
  /** When a resource that takes long to look at may be looked at again. */
  readonly #lookAgainMs = new Map<ObjectKey, number>();

  constructor(context: RegistrationReconcilerContext) {
    this.#context = context;
  }

  async reconcile(key: ObjectKey, signal: AbortSignal): Promise<void> {
    const { registrationOf, clock, cluster, voice, busy, later } = this.#context;
    const registration = registrationOf(key);
    if (registration === undefined || registration.deleting) {
      this.#written.delete(key);
      this.#lookAgainMs.delete(key);
      return;
    }
    const speaking = voice();
    // A claim that is pending will be judged as soon as the namespace is in view, and then this comes again.
    if (speaking === 'silent' || this.#context.claims.of(key).kind === 'pending') return;
    this.#context.onProblems(registration, releaseProblem(registration));
    const nowMs = clock.monotonicMs();
    const before = this.#written.get(key);
    const last = before?.uid === registration.uid ? before : undefined;
    if (last !== undefined && nowMs - last.atMs < WRITE_EVERY_MS) {
      later(key, last.atMs + WRITE_EVERY_MS - nowMs);
      return;
    }
    const lookAgainMs = this.#lookAgainMs.get(key) ?? nowMs;
    if (nowMs < lookAgainMs) {
      later(key, lookAgainMs - nowMs);
      return;
    }
    const echoing = last !== undefined && nowMs - last.atMs < ECHO_MS;
    const stored = echoing ? last.status : registration.status;
    const reports = keepSince(this.#reports(key), stored);
    const status = this.#summarise({ ...registration, status: stored }, reports);
    const isSame = sameStatus(status, stored);
    const tookMs = clock.monotonicMs() - nowMs;
    if (tookMs < 1) this.#lookAgainMs.delete(key);
    else this.#lookAgainMs.set(key, nowMs + tookMs * LOOK_SHARE);
    if (isSame) {
      // Either the echo is still to come, or somebody wrote over it: seen from the view when the wait is over.
      if (echoing && !sameStatus(stored, registration.status)) later(key, last.atMs + ECHO_MS - nowMs);
      // What a leader finds to be right is as good as written by it: nobody has said anything else after it.
      if (speaking === 'leader' && !echoing) this.#written.set(key, { uid: registration.uid, status, atMs: LONG_AGO });
      return;
    }
    if (speaking !== 'leader' && this.#isSaid(status, registration.status, last)) return;
    const { namespace, name, uid } = registration;
    const outcome = await cluster.patchStatus({ namespace, name, uid, status: stored }, status, signal);
    if (outcome.kind === 'done') {
      this.#written.set(key, { uid: registration.uid, status, atMs: nowMs });
      this.#context.onStatus(registration, stored, status);
      this.#tellConflicts(registration, reports);
      // Were the echo to differ from what was written, the view would tell nothing: look once more.
      later(key, ECHO_MS);
      if (!busy()) await clock.sleep(PAUSE_MS, signal);
    } else if (outcome.kind !== 'notFound') {
      throw new Error(`status not written: ${outcome.description}`);
    }
  }

  /**
   * A replica that does not lead may be cut off from those that do, and must not argue with them: it says what nobody
   * has said yet, and falls silent where somebody said something else after it.
   */
  #isSaid(status: RegistrationStatus, stored: unknown, last: Written | undefined): boolean {
    const echoed = last !== undefined && this.#context.clock.monotonicMs() - last.atMs >= ECHO_MS;
    if (echoed && !sameStatus(last.status, stored)) return true;
    return readyReason(status) === readyReason(stored);
  }

  #summarise(registration: RegistrationView, reports: readonly InstanceReport[]): RegistrationStatus {
    const { bucket, registry, viewFresh, outage, holding, stretch, clockSkewSeconds, clock, claims, quotas } =
      this.#context;
    const { namespace, serviceName } = registration;
    const held = holding(registration);
    return summarise({
      registration,
      ...(serviceName === undefined ? {} : { registryName: claims.registryName(namespace, serviceName) }),
      claim: claims.of(registration.key),
      quota: quotas.description,
      bucket,
      reports,
      registry: registry(),
      viewFresh: viewFresh(registration.namespace),
      ...(held === undefined ? {} : { holding: held }),
      outage: outage(),
      stretch: stretch(),
      clockSkewSeconds: clockSkewSeconds(),
      wallMs: clock.wallMs(),
    });
  }

  /** Of keys that are somebody else's is told where they are found. */
  #tellConflicts(registration: RegistrationView, reports: readonly InstanceReport[]): void {
    const { views, onConflict } = this.#context;
    const ownConflicts = reports.filter(({ reason }) => reason === 'SameInstanceId' || reason === 'SelectedTwice');
    for (const report of ownConflicts.slice(0, DETAILS_MAX)) {
      const pod = views.pods.get(objectKey(registration.namespace, report.pod));
      if (pod !== undefined) onConflict(pod, report, registration);
    }
  }

  #reports(key: ObjectKey): readonly InstanceReport[] {
    const { table, duplicates, quotas, views } = this.#context;
    const reports = [...table.reports(key)];
    for (const [podKey, winner] of duplicates.of(key)) {
      const pod = views.pods.get(podKey);
      if (pod === undefined) continue;
      reports.push({
        pod: pod.name,
        status: 'Conflict',
        reason: 'SelectedTwice',
        heldBy: `ServiceRegistration ${winner}`,
        ready: pod.ready && !pod.deleting,
        sinceMs: pod.createdAtMs,
      });
    }
    for (const podKey of quotas.over(key)) {
      const pod = views.pods.get(podKey);
      if (pod === undefined) continue;
      reports.push({
        pod: pod.name,
        status: 'Pending',
        reason: 'QuotaExceeded',
        ready: pod.ready && !pod.deleting,
        sinceMs: pod.createdAtMs,
      });
    }
    return reports;
  }
}

const readyReason = (status: unknown): unknown =>
  asList(asObject(status)?.['conditions'])
    .map(asObject)
    .find((condition) => condition?.['type'] === 'Ready')?.['reason'];

/** A status that did not change keeps its date, also when another replica reported it. */
const keepSince = (reports: readonly InstanceReport[], stored: unknown): readonly InstanceReport[] => {
  const since = new Map<string, number>();
  for (const item of asList(asObject(stored)?.['details'])) {
    const detail = asObject(item);
    const sinceMs = Date.parse(String(detail?.['since']));
    if (!Number.isNaN(sinceMs)) since.set(`${String(detail?.['pod'])} ${String(detail?.['status'])}`, sinceMs);
  }
  if (since.size === 0) return reports;
  return reports.map((report) => {
    const sinceMs = since.get(`${report.pod} ${report.status}`);
    return sinceMs === undefined ? report : { ...report, sinceMs };
  });
};
