// What the reconcilers read: the views of the cluster, and the two questions they ask across them.

import type { NamespaceView } from '../domain/namespace.ts';
import type { LeaseView, NodeView } from '../domain/node.ts';
import { type ObjectKey, objectKey, type PodView } from '../domain/pod.ts';
import type { PolicyView } from '../domain/service-name-policy.ts';
import type { RegistrationView } from '../domain/service-registration.ts';
import type { WorkloadKind, WorkloadView } from '../domain/workload.ts';
import type { ReadonlyView, ViewObject } from './view.ts';

export type Views = {
  readonly pods: ReadonlyView<PodView>;
  readonly registrations: ReadonlyView<RegistrationView>;
  readonly namespaces: ReadonlyView<NamespaceView>;
  readonly policies: ReadonlyView<PolicyView>;
  readonly workloads: Readonly<Record<WorkloadKind, ReadonlyView<WorkloadView>>>;
  readonly nodes: ReadonlyView<NodeView>;
  /** Of the nodes. */
  readonly leases: ReadonlyView<LeaseView>;
};

/** Without those of nodes, which nothing need wait for that may not read them: then every node is heard. */
export const allViews = (views: Views): readonly ReadonlyView<ViewObject>[] => [
  views.pods,
  views.registrations,
  views.namespaces,
  views.policies,
  ...Object.values(views.workloads),
];

/** The Deployment, StatefulSet or DaemonSet that controls a pod, over its ReplicaSet where there is one. */
export const workloadOf = (views: Views, pod: PodView): WorkloadView | undefined => {
  const controller = pod.controller;
  if (controller === undefined || controller.apiVersion !== 'apps/v1') return undefined;
  if (controller.kind === 'StatefulSet' || controller.kind === 'DaemonSet') {
    return withUid(views.workloads[controller.kind], objectKey(pod.namespace, controller.name), controller.uid);
  }
  if (controller.kind !== 'ReplicaSet') return undefined;
  const replicaSet = withUid(views.workloads.ReplicaSet, objectKey(pod.namespace, controller.name), controller.uid);
  const owner = replicaSet?.controller;
  if (owner?.kind !== 'Deployment') return undefined;
  return withUid(views.workloads.Deployment, objectKey(pod.namespace, owner.name), owner.uid);
};

/** A ReplicaSet or workload that is not in view yet will be; only then it is known whose pod this is. */
export const isPending = (views: Views, pod: PodView): boolean => {
  const controller = pod.controller;
  if (controller?.apiVersion !== 'apps/v1') return false;
  if (controller.kind !== 'ReplicaSet') return true;
  const replicaSet = views.workloads.ReplicaSet.get(objectKey(pod.namespace, controller.name));
  return replicaSet === undefined || replicaSet.controller?.kind === 'Deployment';
};

const withUid = (view: ReadonlyView<WorkloadView>, key: ObjectKey, uid: string): WorkloadView | undefined => {
  const workload = view.get(key);
  return workload?.uid === uid ? workload : undefined;
};
