// Which pods have a say in a resource of ours, as the key to reconcile tells.

import { expect, test } from 'vitest';
import { looseKeyOf } from '../../../src/controllers/owned-reconciler.ts';
import { View } from '../../../src/controllers/view.ts';
import type { NamespaceView } from '../../../src/domain/namespace.ts';
import type { LeaseView, NodeView } from '../../../src/domain/node.ts';
import type { PodView } from '../../../src/domain/pod.ts';
import type { PolicyView } from '../../../src/domain/service-name-policy.ts';
import type { RegistrationView } from '../../../src/domain/service-registration.ts';
import type { WorkloadView } from '../../../src/domain/workload.ts';
import { aPod, aSelectorless } from '../../support/builders.ts';

const setUp = (registration: RegistrationView) => {
  const registrations = new View<RegistrationView>();
  registrations.put(registration);
  const workload = () => new View<WorkloadView>();
  return {
    pods: new View<PodView>(),
    registrations,
    namespaces: new View<NamespaceView>(),
    policies: new View<PolicyView>(),
    workloads: { Deployment: workload(), StatefulSet: workload(), DaemonSet: workload(), ReplicaSet: workload() },
    nodes: new View<NodeView>(),
    leases: new View<LeaseView>(),
  };
};

test.each<[string, string, readonly string[], boolean]>([
  ['that asks', 'true', [], true],
  ['whose wish is no good keeps the resource that was made for it', 'TRUE', [aPod().uid], true],
  ['whose wish is no good gets none', 'TRUE', ['another'], false],
  ['that is kept out has none', 'false', [aPod().uid], false],
])('a bare pod %s', (_, register, ownerUids, has) => {
  const views = setUp(aSelectorless({ owned: true, ownerUids }));
  const pod = aPod({ annotations: { register, 'service-name': 'trading-service' } });
  expect(looseKeyOf(views, pod)).toBe(has ? 'Pods/trading/trading-service' : undefined);
});
