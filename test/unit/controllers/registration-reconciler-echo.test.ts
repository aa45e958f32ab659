// Statuses that several replicas write. One that somebody else writes over ours is put right again, although its change
// comes while our own write's echo is still awaited: with the real work queue, whose delays the look afterwards depends
// on. And who led last says what ails the registry, whoever wrote the status that it found to be right.

import { beforeEach, expect, test } from 'vitest';
import type { Cluster } from '../../../src/controllers/cluster.ts';
import { Duplicates } from '../../../src/controllers/duplicates.ts';
import { InstanceQuotas } from '../../../src/controllers/instance-quotas.ts';
import {
  RegistrationReconciler,
  type RegistrationReconcilerContext,
} from '../../../src/controllers/registration-reconciler.ts';
import { View } from '../../../src/controllers/view.ts';
import { WorkQueue } from '../../../src/controllers/work-queue.ts';
import { GRANTED } from '../../../src/domain/name-claims.ts';
import { namespaceOf, type ObjectKey } from '../../../src/domain/pod.ts';
import type { RegistryHealth } from '../../../src/domain/registration-status.ts';
import type { RegistrationView } from '../../../src/domain/service-registration.ts';
import type { WorkloadView } from '../../../src/domain/workload.ts';
import { InstanceTable } from '../../../src/table/instance-table.ts';
import type { Voice } from '../../../src/writer/writer.ts';
import { aRegistration } from '../../support/builders.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const clock = new FakeClock();
const registrations = new View<RegistrationView>();
const stored = aRegistration();
let written: object[] = [];

beforeEach(() => {
  written = [];
});

const aReconciler = (over: Partial<RegistrationReconcilerContext>) => {
  const workload = () => new View<WorkloadView>();
  const cluster: Cluster = {
    patchStatus: async (_registration, status) => {
      written.push(status);
      registrations.put({ ...stored, status });
      return { kind: 'done' };
    },
    patchPodCondition: async () => ({ kind: 'done' }),
    createOwned: async () => ({ kind: 'done' }),
    applyOwned: async () => ({ kind: 'done' }),
    restoreOwned: async () => ({ kind: 'done' }),
    deleteOwned: async () => ({ kind: 'done' }),
    applyLease: async () => ({ kind: 'done' }),
    canI: async () => true,
  };
  return new RegistrationReconciler({
    views: {
      pods: new View(),
      registrations,
      namespaces: new View(),
      policies: new View(),
      workloads: { Deployment: workload(), StatefulSet: workload(), DaemonSet: workload(), ReplicaSet: workload() },
      nodes: new View(),
      leases: new View(),
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
    holding: () => undefined,
    voice: () => 'leader',
    busy: () => false,
    onStatus: () => undefined,
    onConflict: () => undefined,
    onProblems: () => undefined,
    later: () => undefined,
    ...over,
  });
};

test('a foreign status within the time of the echo is overwritten after it', async () => {
  const silent = { added: () => undefined, worked: () => undefined, retried: () => undefined };
  const queue = new WorkQueue<ObjectKey>(clock, () => 0.5, silent, namespaceOf);
  const reconciler = aReconciler({ later: (key, delayMs) => queue.addAfter(key, delayMs) });
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

test('who led last says that the registry is away, also where it found right what another one had written since', async () => {
  const { signal } = new AbortController();
  let skew = 0;
  let voice: Voice = 'leader';
  let registry: RegistryHealth = { kind: 'writable', maxAgeSeconds: 0 };
  const one = aReconciler({ clockSkewSeconds: () => skew, voice: () => voice, registry: () => registry });
  const other = aReconciler({ clockSkewSeconds: () => skew });
  const settled = async (reconciler: RegistrationReconciler) => {
    const reconciled = reconciler.reconcile(stored.key, signal);
    await clock.advance(10_000);
    await reconciled;
  };
  registrations.put(stored);
  await settled(one);
  skew = 5;
  await settled(other);
  await settled(one);
  expect(written).toHaveLength(2);
  voice = 'last';
  registry = { kind: 'broken', reason: 'RegistryUnavailable', message: 'no answer', maxAgeSeconds: 0 };
  await settled(one);
  expect(written.at(-1)).toMatchObject({ conditions: [{ type: 'Ready', reason: 'RegistryUnavailable' }, {}, {}] });
});
