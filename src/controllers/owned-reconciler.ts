// Reconciles the ServiceRegistrations that Rollcall writes itself: one per annotated workload, and one per service of
// annotated pods that no such workload controls. What should exist is decided in the domain; here it is applied and
// removed, by the replica that speaks.

import { podServiceName, readRegister } from '../domain/annotations.ts';
import { isApplied, isMadeFor, type OwnedPlan, planForPods, planForWorkload } from '../domain/owned-registration.ts';
import { objectKey, type PodView } from '../domain/pod.ts';
import { sameStatus as sameJson } from '../domain/registration-status.ts';
import type { RegistrationView } from '../domain/service-registration.ts';
import type { WorkloadKind, WorkloadView } from '../domain/workload.ts';
import type { Cluster, WriteOutcome } from './cluster.ts';
import type { LayeredDefaults } from './defaults.ts';
import { isPending, type Views, workloadOf } from './views.ts';

/** `Deployment/namespace/name`, or `Pods/namespace/service`. */
export type OwnedKey = string & { readonly brand: 'OwnedKey' };

export const workloadKey = (workload: WorkloadView): OwnedKey =>
  `${workload.kind}/${workload.namespace}/${workload.name}` as OwnedKey;

const podsKey = (namespace: string, service: string): OwnedKey => `Pods/${namespace}/${service}` as OwnedKey;

export const ownedNamespaceOf = (key: OwnedKey): string => key.split('/', 2)[1] ?? '';

export type OwnedReconcilerContext = {
  readonly views: Views;
  readonly registrationsOf: (namespace: string) => readonly RegistrationView[];
  readonly defaults: LayeredDefaults;
  readonly cluster: Cluster;
  readonly speaks: () => boolean;
  /** What is not to be seen is not there: the views of the namespace are whole and fresh, and nothing is held or doubted. */
  readonly isSure: (namespace: string) => boolean;
  /** To be asked again in a minute. */
  readonly onUnsure: (key: OwnedKey) => void;
  /** All that counts for the namespace has been listed. */
  readonly knows: (namespace: string) => boolean;
  /** Not all that counts is known, or shown yet: to be asked again in a moment. */
  readonly onUnknown: (key: OwnedKey) => void;
  /** Annotations that are no good. */
  readonly onPlan: (about: WorkloadView | PodView, plan: OwnedPlan) => void;
};

export const reconcileOwned = async (
  context: OwnedReconcilerContext,
  key: OwnedKey,
  signal: AbortSignal,
): Promise<void> => {
  if (!context.speaks()) return;
  const [kind = '', namespace = '', name = ''] = key.split('/', 3);
  if (!context.knows(namespace)) return context.onUnknown(key);
  const registrations = context.registrationsOf(namespace);
  const plan = planFor(context, kind, namespace, name, registrations);
  if (plan === undefined) return;
  for (const owned of plan.remove) await context.cluster.deleteOwned(owned, signal);
  const { manifest } = plan;
  if (manifest === undefined) return;
  const stored = registrations.find((registration) => registration.name === manifest.metadata.name);
  // First, because what somebody added can make the resource, completed by ours, invalid.
  if (stored?.owned === true && !sameJson(stored.spec, manifest.spec)) {
    check('restored', await context.cluster.restoreOwned(stored, manifest.spec, signal));
  }
  if (stored === undefined) {
    // Not applied: that would take over what a person has just made under this name, and the view does not show yet.
    const outcome = await context.cluster.createOwned(manifest, signal);
    // Or we have, a moment ago.
    if (outcome.kind === 'conflict') context.onUnknown(key);
    else check('created', outcome);
  } else if (!isApplied(manifest, stored)) check('applied', await context.cluster.applyOwned(manifest, signal));
};

const check = (what: 'restored' | 'created' | 'applied', outcome: WriteOutcome): void => {
  if (outcome.kind === 'done') return;
  throw new Error(
    `not ${what}: ${outcome.kind === 'notFound' ? 'it, or its namespace, is gone' : outcome.description}`,
  );
};

const planFor = (
  context: OwnedReconcilerContext,
  kind: string,
  namespace: string,
  name: string,
  registrations: readonly RegistrationView[],
): OwnedPlan | undefined => {
  const defaults = context.defaults.ofNamespace(namespace);
  if (kind === 'Pods') {
    const pods = looseAnnotatedPods(context.views, namespace, name);
    if (pods.length === 0 && !context.isSure(namespace)) {
      context.onUnsure(podsKey(namespace, name));
      return undefined;
    }
    const plan = planForPods(namespace, name, pods, registrations, defaults);
    const [first] = pods;
    if (first !== undefined) context.onPlan(first, plan);
    return plan;
  }
  const workload = context.views.workloads[kind as WorkloadKind].get(objectKey(namespace, name));
  // A workload that is gone needs nothing: its resource goes by its owner reference.
  if (workload === undefined) return undefined;
  const plan = planForWorkload(workload, registrations, defaults);
  context.onPlan(workload, plan);
  return plan;
};

/** Pods of a service that ask for themselves: annotated, and no Deployment, StatefulSet or DaemonSet controls them. */
const looseAnnotatedPods = (views: Views, namespace: string, service: string): readonly PodView[] => {
  const pods: PodView[] = [];
  for (const pod of views.pods.byNamespace(namespace)) {
    if (looseServiceOf(views, pod) === service) pods.push(pod);
  }
  return pods;
};

/** The key to reconcile for a pod, if it asks for itself. */
export const looseKeyOf = (views: Views, pod: PodView): OwnedKey | undefined => {
  const service = looseServiceOf(views, pod);
  return service === undefined ? undefined : podsKey(pod.namespace, service);
};

/** The key to reconcile for our own resource that gathers pods which ask for themselves; undefined: it is none. */
export const gatheringKeyOf = ({ owned, namespace, serviceName, spec }: RegistrationView): OwnedKey | undefined =>
  owned && serviceName !== undefined && spec !== undefined && spec.selector === undefined
    ? podsKey(namespace, serviceName)
    : undefined;

/** The keys whose plan a registration is part of. */
export const ownedKeysOf = (views: Views, registration: RegistrationView): readonly OwnedKey[] => {
  const keys: OwnedKey[] = [];
  if (registration.serviceName !== undefined) keys.push(podsKey(registration.namespace, registration.serviceName));
  for (const kind of ['Deployment', 'StatefulSet', 'DaemonSet'] as const) {
    for (const workload of views.workloads[kind].byNamespace(registration.namespace)) {
      if (readRegister(workload.annotations) !== 'absent' || registration.ownerUids.includes(workload.uid)) {
        keys.push(workloadKey(workload));
      }
    }
  }
  return keys;
};

const looseServiceOf = (views: Views, pod: PodView): string | undefined => {
  const register = readRegister(pod.annotations);
  if (register === 'absent' || register === 'no' || pod.phase === 'Succeeded' || pod.phase === 'Failed')
    return undefined;
  const { controller } = pod;
  if (controller !== undefined && (workloadOf(views, pod) !== undefined || isPending(views, pod))) return undefined;
  const service = podServiceName(pod, controller?.name);
  if (register === 'yes') return service;
  for (const registration of views.registrations.byNamespace(pod.namespace)) {
    if (registration.serviceName === service && isMadeFor(pod, registration)) return service;
  }
  return undefined;
};
