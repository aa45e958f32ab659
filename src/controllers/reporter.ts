// Turns what happened into Kubernetes Events, on the resource and on the pod or workload where one is meant. Only the
// replica that speaks reports, and only changes. How events reach the API server is the sink's business.

import { type AnnotationProblem, problem as invalidAnnotation } from '../domain/annotations.ts';
import type { EventReason } from '../domain/event-reasons.ts';
import type { NamespaceView } from '../domain/namespace.ts';
import { DEFAULTS_ANNOTATION } from '../domain/namespace-defaults.ts';
import type { OwnedPlan } from '../domain/owned-registration.ts';
import { type ObjectKey, objectKey, type PodView } from '../domain/pod.ts';
import { conflictSentence, type InstanceReport, type RegistrationStatus } from '../domain/registration-status.ts';
import type { RegistrationView } from '../domain/service-registration.ts';
import { statusEvents } from '../domain/status-events.ts';
import type { WorkloadView } from '../domain/workload.ts';
import { isShown, type Row, SETTLED } from '../table/row.ts';
import type { Write } from '../table/write.ts';
import type { EventSink, ObjectReference } from './cluster.ts';
import type { Views } from './views.ts';

export type { EventSink };

export class Reporter {
  readonly #views: Views;
  readonly #events: EventSink;
  readonly #speaks: () => boolean;
  /** Problems told per object, so that a reconcile without a change tells nothing. */
  readonly #told = new Map<string, string>();
  readonly #missed = new Set<ObjectKey>();

  constructor(views: Views, events: EventSink, speaks: () => boolean) {
    this.#views = views;
    this.#events = events;
    this.#speaks = speaks;
  }

  /** A write was acknowledged; the row still shows what was observed before. */
  written(write: Write): void {
    const { row, wish } = write;
    if (!isShown(row)) return;
    if (wish.state.kind === 'live') {
      if (row.observed.kind === 'ours' && row.observed.status !== 'UNHEALTHY') {
        if (write.reason === 'RoleChange') this.#roleChanged(write);
        return;
      }
      const recovered = row.observed.kind === 'ours';
      // That it was gone was told already, and that it is written again.
      if (recovered || row.wishedAtMs !== SETTLED)
        this.#tell(
          row,
          'Normal',
          recovered ? 'Recovered' : 'Registered',
          'Register',
          `${row.key} is ${write.status}, version ${wish.content.version}`,
        );
      this.#versionNote(row, wish.versionNote);
      return;
    }
    const done = write.operation === 'PURGE' ? 'removed' : 'UNHEALTHY';
    this.#tell(row, 'Normal', 'Unhealthy', 'Deregister', `${row.key} is ${done}: ${wish.state.reason}`);
  }

  #roleChanged({ row, status, wish, active }: Write): void {
    const group = wish.content.stickyActiveGroup;
    const of = group === null ? ', of no sticky group' : ` of sticky group ${group}`;
    const term = active === undefined ? '' : `, term ${active.term}`;
    this.#tell(row, 'Normal', 'RoleChanged', 'Elect', `${row.key} is ${status}${of}${term}`);
  }

  /** Once per resource: all its pods mostly run the same version. */
  #versionNote(row: Row, note: string | undefined): void {
    const registration = this.#views.registrations.get(row.wish.registration);
    if (note === undefined || registration === undefined) return;
    const regarding = registrationReference(registration);
    this.#once(`${registration.uid} version`, note, () =>
      this.#events.emit({ regarding, type: 'Warning', reason: 'VersionNormalised', action: 'Register', note }),
    );
  }

  /** A pod that is Ready or not, and not registered under these services; none: it may be again. */
  excess(pod: PodView, services: readonly string[], quota: string): void {
    if (services.length > 0 && this.#misses(pod)) return;
    const regarding = podReference(pod);
    const why = `namespace ${pod.namespace} has more than its quota of ${quota}, and the oldest count`;
    const note = services.length === 0 ? '' : `Not registered as ${services.join(', ')}: ${why}`;
    this.#once(`${pod.uid} quota`, note, () =>
      this.#events.emit({ regarding, type: 'Warning', reason: 'QuotaExceeded', action: 'Register', note }),
    );
  }

  lapsed(row: Row): void {
    this.#tell(
      row,
      'Warning',
      'Lapsed',
      'Refresh',
      `${row.key} was gone although its pod is Ready; it is written again`,
    );
  }

  /** Keys that were gone as a term began, which after an outage may be all of them. */
  missing(rows: readonly Row[]): void {
    for (const [key, ofOne] of Map.groupBy(rows.filter(isShown), ({ wish }) => wish.registration)) {
      const registration = this.#views.registrations.get(key);
      if (registration === undefined) continue;
      const regarding = registrationReference(registration);
      const keys = ofOne.length === 1 ? 'A key of a Ready pod was' : `${ofOne.length} keys of Ready pods were`;
      const note = `${keys} missing when the registry could be written again: all are written at once`;
      this.#events.emit({ regarding, type: 'Warning', reason: 'Lapsed', action: 'Register', note });
    }
  }

  conflict(row: Row): void {
    const owner = row.observed.kind === 'foreign' ? row.observed.owner : 'somebody else';
    this.#tell(row, 'Warning', 'Conflict', 'Register', `${row.key} is held by ${owner}; it is left alone`);
  }

  /** Pods of which something was to be told while this replica had no say: to be reconciled now that it has. */
  takeMissed(): readonly ObjectKey[] {
    const missed = [...this.#missed];
    this.#missed.clear();
    return missed;
  }

  /** None: what was wrong is right again. */
  readonly podProblems = (pod: PodView, problems: readonly AnnotationProblem[]): void => {
    if (problems.length > 0 && this.#misses(pod)) return;
    this.#tellProblems('pod', podReference(pod), problems);
  };

  /** Likewise of a resource. */
  readonly registrationProblems = (registration: RegistrationView, problems: readonly AnnotationProblem[]): void =>
    this.#tellProblems('annotations', registrationReference(registration), problems);

  /** On the namespace, and where its people look: on resources in it. `problem` undefined: all is well again. */
  namespaceDefaults({ name, uid, annotations }: NamespaceView, problem: string | undefined): void {
    const told =
      problem === undefined
        ? []
        : [
            invalidAnnotation(
              annotations,
              DEFAULTS_ANNOTATION,
              `of namespace ${name} is not in force, and its last good value stays: ${problem}`,
            ),
          ];
    this.#tellProblems('namespace', { apiVersion: 'v1', kind: 'Namespace', namespace: '', name, uid }, told);
    let resources = 0;
    for (const registration of this.#views.registrations.byNamespace(name)) {
      if (resources === TOLD_PER_NAMESPACE) break;
      resources += 1;
      this.#tellProblems('namespace', registrationReference(registration), told);
    }
  }

  /** On the workload or pod that is annotated, and on the resource made for it. */
  readonly plan = (about: WorkloadView | PodView, { manifest, problems }: OwnedPlan): void => {
    this.#tellProblems('plan', 'phase' in about ? podReference(about) : workloadReference(about), problems);
    const name = manifest?.metadata.name;
    const owned = name === undefined ? undefined : this.#views.registrations.get(objectKey(about.namespace, name));
    if (owned?.owned === true) this.#tellProblems('plan', registrationReference(owned), problems);
  };

  /** `person` undefined: nobody leaves the pod out, or not any more. */
  readonly leftOut = (pod: PodView, person: RegistrationView | undefined): void => {
    const topic = `${pod.uid} person`;
    if (person === undefined) {
      this.#told.delete(topic);
      return;
    }
    if (this.#misses(pod)) return;
    const note = `ServiceRegistration ${person.name} registers service ${person.serviceName ?? person.name} and does not select this pod: change its selector, or the pod's annotations.`;
    this.#once(topic, note, () =>
      this.#events.emit({
        regarding: podReference(pod),
        related: registrationReference(person),
        type: 'Warning',
        reason: 'NotSelected',
        action: 'Register',
        note,
      }),
    );
  };

  /** A status was written. */
  readonly status = (registration: RegistrationView, before: unknown, after: RegistrationStatus): void => {
    const regarding = registrationReference(registration);
    for (const event of statusEvents(before, after)) this.#events.emit({ regarding, ...event });
  };

  /** A pod that has no key under the resource, because another pod or resource, which is older, has the better right. */
  readonly podConflict = (pod: PodView, report: InstanceReport, registration: RegistrationView): void => {
    const note = `${conflictSentence(report)} ServiceRegistration ${registration.name} has no key for it.`;
    this.#once(`${pod.uid} ${registration.uid} conflict`, note, () =>
      this.#events.emit({
        regarding: podReference(pod),
        related: registrationReference(registration),
        type: 'Warning',
        reason: 'Conflict',
        action: 'Register',
        note,
      }),
    );
  };

  /** `topic`: who found them. One object may have problems of several kinds. */
  #tellProblems(topic: string, regarding: ObjectReference, problems: readonly AnnotationProblem[]): void {
    const note = problems.map((problem) => `${problem.message} It is "${problem.value}".`).join(' ');
    this.#once(`${regarding.uid} ${topic}`, note, () =>
      this.#events.emit({ regarding, type: 'Warning', reason: 'InvalidAnnotation', action: 'Reconcile', note }),
    );
  }

  #misses(pod: PodView): boolean {
    if (this.#speaks()) return false;
    if (this.#missed.size < TOLD_MAX) this.#missed.add(pod.key);
    return true;
  }

  /** An empty note: there is nothing to tell any more, and what was told would be news again. */
  #once(topic: string, note: string, tell: () => void): void {
    if (note === '') {
      this.#told.delete(topic);
      return;
    }
    if (!this.#speaks() || this.#told.get(topic) === note) return;
    if (this.#told.size >= TOLD_MAX) this.#told.clear();
    this.#told.set(topic, note);
    tell();
  }

  #tell(row: Row, type: 'Normal' | 'Warning', reason: EventReason, action: string, note: string): void {
    const pod: ObjectReference = { apiVersion: 'v1', kind: 'Pod', ...row.wish.pod };
    const registration = this.#views.registrations.get(row.wish.registration);
    if (registration !== undefined) {
      this.#events.emit({ regarding: registrationReference(registration), related: pod, type, reason, action, note });
    }
    const current = this.#views.pods.get(objectKey(pod.namespace, pod.name));
    if (current?.uid === pod.uid) this.#events.emit({ regarding: pod, type, reason, action, note });
  }
}

/** Of a namespace's resources so many are told; one of them is looked at. */
const TOLD_PER_NAMESPACE = 20;

/** More objects with problems than this, and all are told once more; of more that were missed some stay untold. */
const TOLD_MAX = 10_000;

const registrationReference = ({ namespace, name, uid }: RegistrationView): ObjectReference => ({
  apiVersion: 'rollcall.dev/v1alpha1',
  kind: 'ServiceRegistration',
  namespace,
  name,
  uid,
});

const podReference = ({ namespace, name, uid }: PodView): ObjectReference => ({
  apiVersion: 'v1',
  kind: 'Pod',
  namespace,
  name,
  uid,
});

const workloadReference = ({ kind, namespace, name, uid }: WorkloadView): ObjectReference => ({
  apiVersion: 'apps/v1',
  kind,
  namespace,
  name,
  uid,
});
