// What the brake measures an absence by: the keys that hang on what is missing. A few resources can be worth thousands of
// keys, and thousands of pods none. Knows which object a key needs; what becomes of it is decided elsewhere.

import type { Stake } from '../domain/brake.ts';
import { clusterKey } from '../domain/namespace.ts';
import { type ObjectKey, objectKey } from '../domain/pod.ts';
import { policyMatches } from '../domain/service-name-policy.ts';
import type { WorkloadKind } from '../domain/workload.ts';
import type { InstanceTable } from '../table/instance-table.ts';
import type { Row } from '../table/row.ts';
import { type Views, workloadOf } from './views.ts';

/** More than the brake lets go however few there are. */
const KEYS_PER_NODE = 100;

/** From here on every view asks the table what its objects are worth. */
export const weighByKeys = (views: Views, table: InstanceTable): void => {
  const stake = (hangs: (row: Row) => boolean): Stake => {
    let [going, all] = [0, 0];
    for (const row of table.rows()) {
      if (row.wish.state.kind !== 'live') continue;
      all += 1;
      if (hangs(row)) going += 1;
    }
    return { going, all };
  };
  views.pods.weighBy((missing) => stake((row) => missing.has(podOf(row))));
  views.registrations.weighBy((missing) => stake(({ wish }) => missing.has(wish.registration)));
  views.namespaces.weighBy((missing) => stake(({ wish }) => missing.has(clusterKey(wish.pod.namespace))));
  views.policies.weighBy((missing) => {
    const policies = [...missing.values()];
    return stake(({ wish }) => policies.some((policy) => policyMatches(policy, wish.serviceName)));
  });
  // No key hangs on a node that is gone, but lost ones must not come back with a list that lacks them, however few they are.
  for (const view of [views.nodes, views.leases])
    view.weighBy(({ size }) => ({ going: size * KEYS_PER_NODE, all: view.size * KEYS_PER_NODE }));
  const workload = (kind: WorkloadKind, keyOf: (row: Row) => ObjectKey | undefined) =>
    views.workloads[kind].weighBy((missing) =>
      stake((row) => {
        const key = keyOf(row);
        return key !== undefined && missing.has(key);
      }),
    );
  for (const kind of ['Deployment', 'StatefulSet', 'DaemonSet'] as const) {
    workload(kind, (row) => {
      const pod = views.pods.get(podOf(row));
      const found = pod === undefined ? undefined : workloadOf(views, pod);
      return found?.kind === kind ? found.key : undefined;
    });
  }
  workload('ReplicaSet', (row) => {
    const controller = views.pods.get(podOf(row))?.controller;
    return controller?.kind === 'ReplicaSet' ? objectKey(row.wish.pod.namespace, controller.name) : undefined;
  });
};

const podOf = ({ wish }: Row): ObjectKey => objectKey(wish.pod.namespace, wish.pod.name);
