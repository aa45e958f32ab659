// Which pods have a say in a resource of ours, as the key to reconcile tells.

import { expect, test } from 'vitest';
import type { LayeredDefaults } from '../../../src/controllers/defaults.ts';
import { gatheringKeyOf, looseKeyOf, reconcileOwned } from '../../../src/controllers/owned-reconciler.ts';
import { View } from '../../../src/controllers/view.ts';
import type { NamespaceView } from '../../../src/domain/namespace.ts';
import type { LeaseView, NodeView } from '../../../src/domain/node.ts';
import type { PodView } from '../../../src/domain/pod.ts';
import type { PolicyView } from '../../../src/domain/service-name-policy.ts';
import type { RegistrationView } from '../../../src/domain/service-registration.ts';
import type { WorkloadView } from '../../../src/domain/workload.ts';
import { aPod, aSelectorless, someDefaults } from '../../support/builders.ts';

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

test.each([
  ['that nobody asks for any more is deleted', true, ['web'], 0],
  ['whose pods may only be out of sight is asked about later', false, [], 1],
])('a gathering resource %s', async (_, isSure, deleted, asked) => {
  const registration = aSelectorless({ name: 'web', owned: true, ownerUids: ['job'], spec: { serviceName: 'web' } });
  const views = setUp(registration);
  const key = gatheringKeyOf(registration);
  if (key === undefined) throw new Error('it gathers nothing');
  const gone: string[] = [];
  const later: string[] = [];
  const done = async () => ({ kind: 'done' }) as const;
  await reconcileOwned(
    {
      views,
      registrationsOf: () => [registration],
      defaults: { ofNamespace: () => someDefaults } as unknown as LayeredDefaults,
      cluster: {
        createOwned: done,
        applyOwned: done,
        restoreOwned: done,
        deleteOwned: async ({ name }) => {
          gone.push(name);
          return { kind: 'done' };
        },
        patchStatus: done,
        patchPodCondition: done,
        applyLease: done,
        canI: async () => true,
      },
      speaks: () => true,
      isSure: () => isSure,
      onUnsure: (unsure) => void later.push(unsure),
      knows: () => true,
      onUnknown: () => undefined,
      onPlan: () => undefined,
    },
    key,
    new AbortController().signal,
  );
  expect(gone).toEqual(deleted);
  expect(later).toHaveLength(asked);
});
