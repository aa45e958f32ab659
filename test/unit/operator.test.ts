import { expect, test } from 'vitest';
import type { Cluster } from '../../src/controllers/cluster.ts';
import { View } from '../../src/controllers/view.ts';
import type { NamespaceView } from '../../src/domain/namespace.ts';
import type { LeaseView, NodeView } from '../../src/domain/node.ts';
import { objectKey, type PodView } from '../../src/domain/pod.ts';
import { parseOffset } from '../../src/domain/service-instance.ts';
import type { PolicyView } from '../../src/domain/service-name-policy.ts';
import type { RegistrationView } from '../../src/domain/service-registration.ts';
import type { WorkloadView } from '../../src/domain/workload.ts';
import { Operator } from '../../src/operator.ts';
import { aPod, aRegistration, aWorkload, someDefaults } from '../support/builders.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { FakeRegistry } from '../support/fake-registry.ts';
import { FakeStream } from '../support/fake-stream.ts';

/** Counts how often somebody walks through a namespace's pods. */
class CountedPods extends View<PodView> {
  walks = 0;

  override byNamespace(namespace: string): Iterable<PodView> {
    this.walks += 1;
    return super.byNamespace(namespace);
  }
}

test('the first lists are not gone through once per object, and nothing is said before they are complete', async () => {
  const clock = new FakeClock();
  const pods = new CountedPods();
  const registrations = new View<RegistrationView>();
  const workload = () => new View<WorkloadView>();
  const workloads = { Deployment: workload(), StatefulSet: workload(), DaemonSet: workload(), ReplicaSet: workload() };
  const podSource = pods.addSource();
  const namespaces = new View<NamespaceView>();
  const policies = new View<PolicyView>();
  const nodes = new View<NodeView>();
  const leases = new View<LeaseView>();
  const others = [registrations, namespaces, policies, ...Object.values(workloads), nodes, leases];
  const sources = [podSource, ...others.map((view) => view.addSource())];
  const said: string[] = [];
  const done = { kind: 'done' } as const;
  const cluster: Cluster = {
    patchStatus: async (registration) => {
      said.push(registration.name);
      return done;
    },
    patchPodCondition: async () => done,
    createOwned: async () => done,
    applyOwned: async () => done,
    restoreOwned: async () => done,
    deleteOwned: async () => done,
    applyLease: async () => done,
    canI: async () => true,
  };
  const registry = new FakeRegistry(new FakeStream(clock, () => 0.5), 'a');
  registry.setReport({ kind: 'missing', serverVersion: '2.15.2', description: 'no bucket' });
  const offset = parseOffset('Z');
  if (offset === undefined) throw new Error('no offset');
  const quiet = () => undefined;
  const operator = new Operator(
    {
      views: { pods, registrations, namespaces, policies, workloads, nodes, leases },
      cluster,
      events: { emit: quiet },
      registry,
      prober: { probe: async () => 'impossible' },
      clock,
      random: () => 0.5,
      log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
      observer: {
        queue: () => ({ added: quiet, worked: quiet, retried: quiet }),
        batch: quiet,
        written: quiet,
        acknowledged: quiet,
        visible: quiet,
        audited: quiet,
        lapsed: quiet,
        conflict: quiet,
        probed: quiet,
        leaseFailed: quiet,
      },
    },
    {
      bucket: 'b',
      operatorId: 'o',
      replicaId: 'a',
      offset,
      defaults: someDefaults,
      nameClaims: 'FirstCome',
      quotas: {},
    },
  );
  const stop = new AbortController();
  const running = operator.run(stop.signal);
  registrations.put(aRegistration());
  for (let i = 0; i < 50; i += 1)
    podSource.put(aPod({ name: `pod-${i}`, key: objectKey('trading', `pod-${i}`), uid: `${i + 10_000_000}-uid` }));
  for (let i = 0; i < 50; i += 1) {
    const name = `set-${i}`;
    workloads.ReplicaSet.put(aWorkload({ kind: 'ReplicaSet', name, key: objectKey('trading', name), uid: name }));
  }
  await clock.advance(10_000);
  expect(pods.walks).toBe(0);
  expect(said).toEqual([]);
  for (const source of sources) {
    source.synced = true;
    source.prove(clock.monotonicMs());
  }
  await clock.advance(2_000);
  expect(said).toEqual(['trading-service']);
  expect(operator.table.size).toBe(50);
  expect(pods.walks).toBeLessThan(5);
  // A replica that never found a registry to lead in, or another one that leads, takes no other's place.
  await clock.advance(10_000);
  expect(operator.notReady).toBe('no replica is known to lead yet: no bucket');
  registry.setReport(undefined);
  await clock.advance(10_000);
  expect(operator.notReady).toBeUndefined();
  registry.setLink('disconnected');
  await clock.advance(60_000);
  expect(operator.notReady).toBeUndefined();
  stop.abort();
  await clock.advance(1_000);
  await running;
});
