// Reconciles one pod: what its namespace's registrations want for it goes into the table. No I/O, so thousands fit
// into a slice of time.

import { type Asked, type Decision, decide, frozenWish } from '../domain/decide.ts';
import type { Wish } from '../domain/instance.ts';
import { leftOutBy } from '../domain/left-out.ts';
import { verdictFor } from '../domain/node-loss.ts';
import { namespaceOf, type ObjectKey, type PodView } from '../domain/pod.ts';
import type { HeartbeatOffset } from '../domain/service-instance.ts';
import type { RegistrationView } from '../domain/service-registration.ts';
import type { WorkloadView } from '../domain/workload.ts';
import type { InstanceTable } from '../table/instance-table.ts';
import type { Claims } from './claims.ts';
import type { LayeredDefaults, PodLayer } from './defaults.ts';
import type { Duplicates } from './duplicates.ts';
import type { InstanceQuotas } from './instance-quotas.ts';
import type { NodeWatch } from './node-watch.ts';
import { isPending, type Views, workloadOf } from './views.ts';

export type PodReconcilerContext = {
  readonly views: Views;
  /** A namespace's registrations that may use their names, as a list that is made once per change. */
  readonly registrationsOf: (namespace: string) => readonly RegistrationView[];
  readonly defaults: LayeredDefaults;
  readonly claims: Pick<Claims, 'registryName'>;
  readonly quotas: InstanceQuotas;
  readonly table: InstanceTable;
  readonly duplicates: Duplicates;
  readonly offset: HeartbeatOffset;
  readonly nodes: Pick<NodeWatch, 'verdictOf' | 'awaits'>;
  readonly onReport: (registration: ObjectKey) => void;
  /** Nothing is concluded yet of the pod: it is to be looked at again in a moment. */
  readonly onAwaited: (pod: ObjectKey) => void;
  /** All that counts for pods of the namespace has been listed. */
  readonly knows: (namespace: string) => boolean;
  /** Not all that counts for the pod is known: it is to be looked at again. */
  readonly onUnknown: (pod: ObjectKey) => void;
  /** Another pod is within its namespace's quota now, or is not any more. */
  readonly onMoved: (pod: ObjectKey) => void;
  /** The services under which the pod is not registered, because its namespace is over its quota; told as long as it is. */
  readonly onExcess: (pod: PodView, services: readonly string[]) => void;
  /** Annotations of the pod that are no good; none: they may be again. */
  readonly onProblems: (pod: PodView, problems: Decision['problems']) => void;
  /** The pod asks to be registered, and this resource of a person for its service does not select it; or none does so. */
  readonly onLeftOut: (pod: PodView, person: RegistrationView | undefined) => void;
  /** Told of each rule that is asked. */
  readonly trace?: (asked: Asked) => void;
};

export const reconcilePod = (context: PodReconcilerContext, key: ObjectKey): void => {
  const { views, table, duplicates, claims, quotas } = context;
  const pod = views.pods.get(key);
  // Where a right is missing, nobody is gone, and nobody asks for nothing.
  if (!context.knows(namespaceOf(key))) return context.onUnknown(key);
  if (pod === undefined) {
    table.setWishes(key, undefined, []);
    admit(context, key, [], []);
    duplicates.set(key, []).forEach(context.onReport);
    return;
  }
  // Of a pod without keys there is nothing to be kept.
  if (table.registrationsOf(key).length > 0 && context.nodes.awaits(pod)) return context.onAwaited(key);
  const workload = workloadOf(views, pod);
  const registrations = context.registrationsOf(pod.namespace);
  const workloadName = workload?.name ?? pod.controller?.name;
  const layer = layerOf(context, pod, workload);
  const node = context.nodes.verdictOf(pod.node);
  const decision = decide(pod, registrations, {
    offset: context.offset,
    node,
    ...(workloadName === undefined ? {} : { workloadName }),
    ...(layer === undefined ? {} : { workloadDefaults: layer.defaults, podLayer: layer.stated }),
    registryName: (serviceName) => claims.registryName(pod.namespace, serviceName),
    holds: (registration) => table.holds(key, registration),
    lastGood: (serviceName) => table.annotatedBy(key, pod.uid, serviceName),
    ...(context.trace === undefined ? {} : { trace: context.trace }),
  });
  const { frozen } = decision;
  const wishes = admit(context, key, decision.wishes, frozen);
  table.setWishes(key, pod.uid, wishes, (held) =>
    frozen.includes(held.registration) && quotas.isWithin(key, held.registration)
      ? frozenWish(held, pod, verdictFor(node, views.registrations.get(held.registration) ?? {}))
      : undefined,
  );
  duplicates.set(key, decision.conflicts).forEach(context.onReport);
  if (quotas.isLimited)
    context.onExcess(
      pod,
      decision.wishes.flatMap((wish) => (wishes.includes(wish) ? [] : wish.serviceName)),
    );
  context.onProblems(pod, [...decision.problems, ...layerProblems(layer, registrations, wishes)]);
  const selecting = registrations.filter(({ key }) => decision.wishes.some(({ registration }) => registration === key));
  context.onLeftOut(pod, leftOutBy(pod, workload, registrations, selecting));
};

/** What the pod's workload says; or the pod itself, where nothing that we read controls it. */
const layerOf = (
  { views, defaults, table }: PodReconcilerContext,
  pod: PodView,
  workload: WorkloadView | undefined,
): PodLayer | undefined => {
  if (workload === undefined)
    return isPending(views, pod) ? undefined : defaults.ofPod(pod, table.annotatedBy(pod.key, pod.uid));
  const ofWorkload = defaults.ofWorkload(workload);
  return ofWorkload === undefined ? undefined : { stated: {}, defaults: ofWorkload, problems: [] };
};

/** They count for resources by hand; with owned ones their plan tells them. */
const layerProblems = (
  layer: PodLayer | undefined,
  registrations: readonly RegistrationView[],
  wishes: readonly Wish[],
): PodLayer['problems'] => {
  if (layer === undefined || layer.problems.length === 0) return [];
  const counts = registrations.some(({ owned, key }) => !owned && wishes.some((wish) => wish.registration === key));
  return counts ? layer.problems : [];
};

/** The wishes that are within the namespace's quota. */
const admit = (
  { quotas, onMoved, onReport }: PodReconcilerContext,
  key: ObjectKey,
  wishes: readonly Wish[],
  frozen: readonly ObjectKey[],
): readonly Wish[] => {
  const { within, moved, reported } = quotas.admit(key, wishes, frozen);
  moved.forEach(onMoved);
  reported.forEach(onReport);
  return within;
};
