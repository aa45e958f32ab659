// Which change in the views asks for which reconcile: the wires between what Kubernetes says and the work queues. Decides
// nothing; before everything has been listed once it only keeps who may use which name up to date, for all will be asked for.

import { CONFIRM_AFTER_MS } from '../domain/brake.ts';
import { clusterKey, type NamespaceView } from '../domain/namespace.ts';
import { DEFAULTS_ANNOTATION } from '../domain/namespace-defaults.ts';
import { namespaceOf, type ObjectKey } from '../domain/pod.ts';
import type { RegistrationView } from '../domain/service-registration.ts';
import type { WorkloadView } from '../domain/workload.ts';
import type { Claims } from './claims.ts';
import type { LayeredDefaults } from './defaults.ts';
import { gatheringKeyOf, looseKeyOf, type OwnedKey, ownedKeysOf, workloadKey } from './owned-reconciler.ts';
import type { ReadinessGates } from './readiness-gates.ts';
import type { Registrations } from './registrations.ts';
import type { Reporter } from './reporter.ts';
import type { Change, ReadonlyView, ViewObject } from './view.ts';
import { type Views, workloadOf } from './views.ts';
import type { WorkQueue } from './work-queue.ts';

/** Within this the watch of nodes has told what the watch of pods tells of a lost one. */
const MARK_SETTLES_MS = 1_000;

export type TriggersContext = {
  readonly views: Views;
  readonly queues: {
    readonly pods: WorkQueue<ObjectKey>;
    readonly registrations: WorkQueue<ObjectKey>;
    readonly owned: WorkQueue<OwnedKey>;
  };
  readonly registrations: Registrations;
  readonly claims: Claims;
  readonly defaults: LayeredDefaults;
  readonly gates: Pick<ReadinessGates, 'podChanged'>;
  readonly reporter: Pick<Reporter, 'namespaceDefaults'>;
  /** Every view was complete once. */
  readonly isListed: () => boolean;
};

export class Triggers {
  readonly #context: TriggersContext;

  constructor(context: TriggersContext) {
    this.#context = context;
  }

  /** From now on changes of the views ask for reconciles. */
  start(): void {
    const { pods, registrations, namespaces, policies, workloads } = this.#context.views;
    pods.onChange(({ key, before, after }) => {
      if (!this.#context.isListed()) return;
      // Another watch tells what the node controller says of the node: that must be known first.
      const isMarked = after?.unreadyByNode === true && before?.unreadyByNode !== true;
      if (isMarked) this.#context.queues.pods.addAfter(key, MARK_SETTLES_MS);
      else this.#context.queues.pods.add(key);
      this.#context.gates.podChanged(key, after);
      for (const pod of [before, after]) {
        const owned = pod === undefined ? undefined : looseKeyOf(this.#context.views, pod);
        if (owned !== undefined) this.#context.queues.owned.add(owned);
      }
    });
    registrations.onChange((change) => {
      this.#registrationChanged(change);
      this.#claimsChanged(this.#context.claims.registrationChanged(change));
    });
    namespaces.onChange((change) => {
      this.#namespaceChanged(change);
      this.#claimsChanged(this.#context.claims.namespaceChanged(change));
    });
    // The views may have begun to fill before anybody listened.
    for (const after of namespaces.values()) this.#context.claims.namespaceChanged({ key: after.key, after });
    for (const after of policies.values()) this.#context.claims.policyChanged({ key: after.key, after });
    for (const after of registrations.values()) this.#context.claims.registrationChanged({ key: after.key, after });
    policies.onChange((change) => this.#claimsChanged(this.#context.claims.policyChanged(change)));
    for (const view of Object.values(workloads)) {
      view.onChange((change) => this.#workloadChanged(change));
    }
  }

  #registrationChanged({ key, before, after }: Change<RegistrationView>): void {
    const registration = after ?? before;
    if (registration === undefined) return;
    this.#context.registrations.forget(registration.namespace);
    if (!this.#context.isListed()) return;
    this.#context.queues.registrations.add(key);
    if (before === undefined) this.tellDefaults(registration.namespace);
    if (before !== undefined && after !== undefined && sameMeaning(before, after)) return;
    for (const pod of this.#context.views.pods.byNamespace(registration.namespace))
      this.#context.queues.pods.add(pod.key);
    for (const owned of ownedKeysOf(this.#context.views, registration)) this.#context.queues.owned.add(owned);
  }

  #namespaceChanged({ before, after }: Change<NamespaceView>): void {
    const { name } = after ?? before ?? {};
    if (name === undefined || defaultsText(before) === defaultsText(after)) return;
    this.#context.registrations.forget(name);
    if (!this.#context.isListed()) return;
    for (const { key } of this.#context.views.registrations.byNamespace(name))
      this.#context.queues.registrations.add(key);
    for (const { key } of this.#context.views.pods.byNamespace(name)) this.#context.queues.pods.add(key);
    this.reconcileOwned(name);
    this.tellDefaults(name);
  }

  /** Registrations may use their names now, or may not any more, also those of other namespaces than the change's. */
  #claimsChanged(registrations: readonly ObjectKey[]): void {
    const namespaces = new Set(registrations.map(namespaceOf));
    for (const namespace of namespaces) this.#context.registrations.forgetGranted(namespace);
    if (!this.#context.isListed()) return;
    for (const key of registrations) this.#context.queues.registrations.add(key);
    for (const namespace of namespaces) {
      for (const pod of this.#context.views.pods.byNamespace(namespace)) this.#context.queues.pods.add(pod.key);
    }
  }

  #workloadChanged({ before, after }: Change<WorkloadView>): void {
    const workload = after ?? before;
    if (workload === undefined || !this.#context.isListed()) return;
    if (workload.kind !== 'ReplicaSet') this.#context.queues.owned.add(workloadKey(workload));
    if (after === undefined) this.#context.defaults.forget(workload);
    if (before !== undefined && (before.annotations === after?.annotations || isMute(before, after))) return;
    // Whose pods they are, and what their workload says, may be known only now.
    for (const pod of this.#context.views.pods.byNamespace(workload.namespace)) {
      const theirs = pod.controller?.uid === workload.uid || workloadOf(this.#context.views, pod)?.uid === workload.uid;
      if (!theirs) continue;
      this.#context.queues.pods.add(pod.key);
      const owned = looseKeyOf(this.#context.views, pod);
      if (owned !== undefined) this.#context.queues.owned.add(owned);
    }
  }

  /** The registry's health, the view's freshness or who speaks changed: every status may read differently. */
  reconcileReports(): void {
    for (const { key } of this.#context.views.registrations.values()) this.#context.queues.registrations.add(key);
  }

  /** All of them, or those of one namespace. */
  reconcileOwned(namespace?: string): void {
    const { pods, workloads, registrations } = this.#context.views;
    const of = <T extends ViewObject>(view: ReadonlyView<T>): Iterable<T> =>
      namespace === undefined ? view.values() : view.byNamespace(namespace);
    for (const kind of ['Deployment', 'StatefulSet', 'DaemonSet'] as const) {
      for (const workload of of(workloads[kind])) this.#context.queues.owned.add(workloadKey(workload));
    }
    for (const pod of of(pods)) {
      const owned = looseKeyOf(this.#context.views, pod);
      if (owned !== undefined) this.#context.queues.owned.add(owned);
    }
    // Of a service that no pod asks for any more no pod brings us here. Not at once: a first list may have been too short.
    for (const registration of of(registrations)) {
      const owned = gatheringKeyOf(registration);
      if (owned !== undefined) this.#context.queues.owned.addAfter(owned, CONFIRM_AFTER_MS);
    }
  }

  /** Whoever is concerned by a namespace's defaults that are wrong hears of it. */
  tellDefaults(name: string): void {
    const problem = this.#context.defaults.problemOf(name);
    const namespace = this.#context.views.namespaces.get(clusterKey(name));
    if (namespace !== undefined && this.#context.isListed())
      this.#context.reporter.namespaceDefaults(namespace, problem);
  }
}

/** It said nothing, and says nothing. */
const isMute = (before: WorkloadView, after: WorkloadView | undefined): boolean =>
  [before, after].every((workload) => Object.keys(workload?.annotations ?? {}).length === 0);

const defaultsText = (namespace: NamespaceView | undefined): string | undefined =>
  namespace?.annotations[DEFAULTS_ANNOTATION];

/** Nothing changed that pods or owned resources could notice: only the status did. */
const sameMeaning = (a: RegistrationView, b: RegistrationView): boolean =>
  a.generation === b.generation &&
  a.uid === b.uid &&
  a.deleting === b.deleting &&
  a.releaseBrake === b.releaseBrake &&
  a.owned === b.owned &&
  a.ownerUids.join() === b.ownerUids.join();
