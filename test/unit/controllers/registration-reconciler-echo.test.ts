// A status that somebody else writes over ours is put right again, although its change comes while our own write's
// echo is still awaited: with the real work queue, whose delays the look afterwards depends on.

import { expect, test } from 'vitest';
import type { Cluster } from '../../../src/controllers/cluster.ts';
import { Duplicates } from '../../../src/controllers/duplicates.ts';
import { InstanceQuotas } from '../../../src/controllers/instance-quotas.ts';
import { RegistrationReconciler } from '../../../src/controllers/registration-reconciler.ts';
import { View } from '../../../src/controllers/view.ts';
import { WorkQueue } from '../../../src/controllers/work-queue.ts';
import { GRANTED } from '../../../src/domain/name-claims.ts';
import { namespaceOf, type ObjectKey } from '../../../src/domain/pod.ts';
import type { RegistrationView } from '../../../src/domain/service-registration.ts';
import type { WorkloadView } from '../../../src/domain/workload.ts';
import { InstanceTable } from '../../../src/table/instance-table.ts';
import { aRegistration } from '../../support/builders.ts';
import { FakeClock } from '../../support/fake-clock.ts';

test('a foreign status within the time of the echo is overwritten after it', async () => {
  const clock = new FakeClock();
  const registrations = new View<RegistrationView>();
  const stored = aRegistration();
  const written: object[] = [];
  const cluster: Cluster = {
    patchStatus: async (_registration, status) => {
      written.push(status);
      registrations.put({ ...stored, status });
      return { kind: 'done' };
    },
    patchPodCondition: async () => ({ kind: 'done' }),
    applyOwned: async () => ({ kind: 'done' }),
    restoreOwned: async () => ({ kind: 'done' }),
    deleteOwned: async () => ({ kind: 'done' }),
    applyLease: async () => ({ kind: 'done' }),
    canI: async () => true,
  };
  const silent = { added: () => undefined, worked: () => undefined, retried: () => undefined };
  const queue = new WorkQueue<ObjectKey>(clock, () => 0.5, silent, namespaceOf);
  const workload = () => new View<WorkloadView>();
  const reconciler = new RegistrationReconciler({
    views: {
      pods: new View(),
      registrations,
      namespaces: new View(),
      policies: new View(),
      workloads: { Deployment: workload(), StatefulSet: workload(), DaemonSet: workload(), ReplicaSet: workload() },
    },
    registrationOf: (key) => registrations.get(key),
    table: new InstanceTable(clock, { onUrgent: () => undefined, onReport: () => undefined }),
    duplicates: new Duplicates(),
    claims: { of: () => GRANTED, registryName: (_namespace, serviceName) => serviceName },
    quotas: new InstanceQuotas({}),
    cluster,
    clock,
    bucket: 'service-registry',
    registry: () => ({ kind: 'writable', maxAgeSeconds: 0 }),
    viewFresh: () => true,
    outage: () => false,
    stretch: () => 1,
    clockSkewSeconds: () => 0,
    holding: () => false,
    voice: () => 'leader',
    busy: () => false,
    onStatus: () => undefined,
    onConflict: () => undefined,
    later: (key, delayMs) => queue.addAfter(key, delayMs),
  });
  registrations.onChange(({ key }) => queue.add(key));
  const stop = new AbortController();
  const running = queue.run(
    (key, signal) => reconciler.reconcile(key, signal),
    () => undefined,
    stop.signal,
  );

  registrations.put(stored);
  await clock.settle();
  expect(written).toHaveLength(1);
  await clock.advance(500);
  registrations.put({
    ...stored,
    status: { conditions: [{ type: 'Ready', status: 'False', reason: 'RegistryUnavailable' }] },
  });
  await clock.advance(10_000);
  expect(written).toHaveLength(2);
  expect(registrations.get(stored.key)?.status).toMatchObject({ conditions: [{ reason: 'NoPodsSelected' }, {}, {}] });

  stop.abort();
  await running;
});
