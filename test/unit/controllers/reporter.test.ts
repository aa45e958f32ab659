// Whom the reporter tells what, and that it tells it once. Which changes of a status are events is `status-events.test.ts`.

import { expect, test } from 'vitest';
import type { EventNotice } from '../../../src/controllers/cluster.ts';
import { Reporter } from '../../../src/controllers/reporter.ts';
import { View } from '../../../src/controllers/view.ts';
import type { AnnotationProblem } from '../../../src/domain/annotations.ts';
import type { NamespaceView } from '../../../src/domain/namespace.ts';
import type { LeaseView, NodeView } from '../../../src/domain/node.ts';
import type { OwnedPlan } from '../../../src/domain/owned-registration.ts';
import type { PodView } from '../../../src/domain/pod.ts';
import type { PolicyView } from '../../../src/domain/service-name-policy.ts';
import type { RegistrationView } from '../../../src/domain/service-registration.ts';
import type { WorkloadView } from '../../../src/domain/workload.ts';
import { aPod, aRegistration, aWorkload, keyOf } from '../../support/builders.ts';
import { aRow, aWish } from '../../support/wishes.ts';

const setUp = ({ speaks = true } = {}) => {
  const registrations = new View<RegistrationView>();
  const workload = () => new View<WorkloadView>();
  const views = {
    pods: new View<PodView>(),
    registrations,
    namespaces: new View<NamespaceView>(),
    policies: new View<PolicyView>(),
    workloads: { Deployment: workload(), StatefulSet: workload(), DaemonSet: workload(), ReplicaSet: workload() },
    nodes: new View<NodeView>(),
    leases: new View<LeaseView>(),
  };
  const told: string[] = [];
  const emit = ({ regarding, reason, note }: EventNotice) =>
    void told.push(`${regarding.kind}/${regarding.name} ${reason}: ${note}`);
  return { registrations, told, reporter: new Reporter(views, { emit }, () => speaks) };
};

const aProblem = (annotation: string): AnnotationProblem => ({
  annotation,
  value: 'x',
  message: `${annotation} is no good.`,
});
const ownedBy = ({ namespace, name }: WorkloadView): RegistrationView =>
  aRegistration({ namespace, name, owned: true });
const aPlan = (owned: RegistrationView, problems: readonly AnnotationProblem[]): OwnedPlan => ({
  manifest: {
    apiVersion: 'rollcall.dev/v1alpha1',
    kind: 'ServiceRegistration',
    metadata: { namespace: owned.namespace, name: owned.name, labels: {}, ownerReferences: [] },
    spec: {},
  },
  remove: [],
  problems,
});

test('an annotation that is no good is told on the workload and on its resource, also when that comes later; once', () => {
  const { registrations, reporter, told } = setUp();
  const workload = aWorkload();
  const plan = aPlan(ownedBy(workload), [aProblem('ttl')]);
  reporter.plan(workload, plan);
  expect(told).toEqual(['Deployment/trading-service InvalidAnnotation: ttl is no good. It is "x".']);
  registrations.put(ownedBy(workload));
  reporter.plan(workload, plan);
  reporter.plan(workload, plan);
  expect(told.slice(1)).toEqual(['ServiceRegistration/trading-service InvalidAnnotation: ttl is no good. It is "x".']);
  // Put right and wrong again: news.
  reporter.plan(workload, aPlan(ownedBy(workload), []));
  reporter.plan(workload, plan);
  expect(told).toHaveLength(4);
});

test("a person's resource that has the name is not told of", () => {
  const { registrations, reporter, told } = setUp();
  const workload = aWorkload();
  registrations.put({ ...ownedBy(workload), owned: false });
  reporter.plan(workload, aPlan(ownedBy(workload), [aProblem('ttl')]));
  expect(told).toHaveLength(1);
});

test('what two reconcilers find wrong with one pod does not alternate', () => {
  const { reporter, told } = setUp();
  const pod = aPod();
  const plan = aPlan(aRegistration(), [aProblem('ttl')]);
  for (let i = 0; i < 5; i += 1) {
    reporter.podProblems(pod, [aProblem('version')]);
    reporter.plan(pod, plan);
  }
  expect(told).toHaveLength(2);
});

test('a pod that is left out is told once, a new pod of its name anew', () => {
  const { reporter, told } = setUp();
  const person = aRegistration({ name: 'by-hand', serviceName: 'trading-service' });
  for (const pod of [aPod(), aPod(), aPod({ uid: 'another' })]) reporter.leftOut(pod, person);
  expect(told).toHaveLength(2);
  expect(told[0]).toMatch(/^Pod\/trading-1 NotSelected: ServiceRegistration by-hand registers service trading-service/);
});

test('a pod that another pod or resource has the better right to is told so, once for each resource', () => {
  const { reporter, told } = setUp();
  const report = { pod: 'trading-1', status: 'Conflict', ready: true, sinceMs: 0 } as const;
  const twice = { ...report, reason: 'SelectedTwice', heldBy: 'ServiceRegistration trading/older' } as const;
  const same = { ...report, reason: 'SameInstanceId', heldBy: 'trading-0' } as const;
  const [young, other] = [aRegistration({ name: 'young' }), aRegistration({ name: 'other' })];
  for (let i = 0; i < 2; i += 1) {
    reporter.podConflict(aPod(), twice, young);
    reporter.podConflict(aPod(), same, other);
  }
  expect(told).toEqual([
    'Pod/trading-1 Conflict: The pod trading-1 is selected for the same service by the older resource ServiceRegistration trading/older, which counts. ServiceRegistration young has no key for it.',
    'Pod/trading-1 Conflict: The pod trading-1 comes to the same instance id as the older pod trading-0, which has it. ServiceRegistration other has no key for it.',
  ]);
});

test('what was put right and is wrong again is told again', () => {
  const { reporter, told } = setUp();
  const person = aRegistration({ name: 'by-hand', serviceName: 'trading-service' });
  reporter.podProblems(aPod(), []);
  reporter.leftOut(aPod(), undefined);
  expect(told).toEqual([]);
  for (const problems of [[aProblem('port')], [], [aProblem('port')]]) reporter.podProblems(aPod(), problems);
  for (const by of [person, undefined, person]) reporter.leftOut(aPod(), by);
  expect(told.map((line) => line.split(':')[0])).toEqual([
    ...Array.from({ length: 2 }, () => 'Pod/trading-1 InvalidAnnotation'),
    ...Array.from({ length: 2 }, () => 'Pod/trading-1 NotSelected'),
  ]);
});

test('a replica that has no say does not remember whom it has nothing to tell', () => {
  const { reporter } = setUp({ speaks: false });
  reporter.podProblems(aPod(), []);
  reporter.leftOut(aPod(), undefined);
  expect(reporter.takeMissed()).toEqual([]);
});

test('a replica that has no say tells nobody, and remembers whom it would have told', () => {
  const { reporter, told } = setUp({ speaks: false });
  reporter.leftOut(aPod(), aRegistration());
  reporter.podProblems(aPod({ name: 'b', key: keyOf('b') }), [aProblem('ttl')]);
  expect(told).toEqual([]);
  expect(reporter.takeMissed()).toEqual(['trading/trading-1', 'trading/b']);
  expect(reporter.takeMissed()).toEqual([]);
});

test('keys that were missing as a term began are told once per resource', () => {
  const { reporter, registrations, told } = setUp();
  const [web, api] = [aRegistration({ name: 'web' }), aRegistration({ name: 'api' })];
  for (const registration of [web, api]) registrations.put(registration);
  const rowsOf = ({ key }: RegistrationView, count: number) =>
    Array.from({ length: count }, (_, i) =>
      aRow(aWish({ podName: `pod-${i}`, registration: key }), { kind: 'none', revision: 0 }),
    );
  reporter.missing([...rowsOf(web, 3), ...rowsOf(api, 1)]);
  expect(told).toEqual([
    'ServiceRegistration/web Lapsed: 3 keys of Ready pods were missing when the registry could be written again: all are written at once',
    'ServiceRegistration/api Lapsed: A key of a Ready pod was missing when the registry could be written again: all are written at once',
  ]);
});
