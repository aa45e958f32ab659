// Nodes that are lost, on a real control plane with the real node controller: one by its lease, and so many at once that
// nothing is concluded. What KWOK plays a node is ended, so that its lease stays as it is.

import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createNodes } from '../../../hack/control-plane/nodes.ts';
import type { OwnedProcess } from '../../../hack/control-plane/owned-process.ts';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import type { OperatorProcess } from '../../support/operator-process.ts';
import type { StreamObserver } from '../../support/stream-observer.ts';
import { breaches } from '../../support/stream-verdicts.ts';
import { conditionOf, createPod, createRegistration, type Pod, podsPath, untilReadyPods } from './objects.ts';
import { registrationsPath, START_MS, Stage } from './stage.ts';

const NAMESPACE = 'machines';
const TTL_SECONDS = 6;
/** With the default TTL it is 60.5 s. */
const TOLD_MS = 30_000;
const GONE_AFTER_MS = TTL_SECONDS * 1_000 + 500;
const BACK_MS = 2_000;
/** Of seven nodes. */
const MANY = 4;
/** The node controller says Unknown 50 s after it heard a node last, and looks each 5 s. */
const MARKED_MS = 90_000;

let stage: Stage;
let operator: OperatorProcess;
let observer: StreamObserver;
let one: OwnedProcess;
let many: OwnedProcess;

/** Under two services: one counts the node's silence, the other only what Kubernetes says of the pod. */
const aPodOn = async (node: string, app: string): Promise<void> => {
  const quick = { selector: { matchLabels: { app } }, ttlSeconds: TTL_SECONDS, instanceId: 'PodName' };
  await createRegistration(stage.api, NAMESPACE, `${app}-service`, quick);
  await createRegistration(stage.api, NAMESPACE, `${app}-plain`, { ...quick, nodeLoss: 'PodReadiness' });
  await createPod(stage.api, NAMESPACE, app, { node });
};

const keyOf = (app: string, kind: 'service' | 'plain' = 'service') => `service-instances.${app}-${kind}.${app}`;
const statusOf = (key: string) => observer.live.get(key)?.value?.status;

const untilStatus = (key: string, status: string | undefined, deadlineMs: number) =>
  waitFor(`${key} to be ${status}`, () => statusOf(key) === status, { deadlineMs, intervalMs: 20 });

const podOf = async (app: string): Promise<Pod> => {
  const pod = await stage.api.find<Pod>(`${podsPath(NAMESPACE)}/${app}`);
  if (pod === undefined) throw new Error(`pod ${app} is gone`);
  return pod;
};

const leaseOf = async (node: string): Promise<unknown> => {
  const path = `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${node}`;
  return (await stage.api.find<{ metadata: { name: string; uid: string }; spec: { renewTime: string } }>(path))?.spec
    .renewTime;
};

beforeAll(async () => {
  stage = await Stage.open();
  const { api, cluster } = stage;
  await cluster.createNamespace(NAMESPACE);
  one = await cluster.startKwok('one');
  many = await cluster.startKwok('many');
  await createNodes(api, 1, { group: 'one', prefix: 'one' });
  await createNodes(api, MANY, { group: 'many', prefix: 'many' });
  operator = await stage.startOperator({ await: 'readyz' });
  observer = await stage.observe();
  await aPodOn('one-0', 'alone');
  for (const [index, app] of ['kept', 'released'].entries()) await aPodOn(`many-${index}`, app);
  for (const app of ['alone', 'kept', 'released']) {
    await untilReadyPods(api, NAMESPACE, app, 1);
    await untilStatus(keyOf(app), 'ACTIVE', 10_000);
    await untilStatus(keyOf(app, 'plain'), 'ACTIVE', 10_000);
  }
  // Every lease has moved before.
  await pause(12_000);
}, START_MS);

afterAll(() => stage?.close());

test('a node that is lost takes its keys along within 30 s, and brings them back', async () => {
  const lostAtMs = performance.now();
  await one.kill('SIGKILL');
  await untilStatus(keyOf('alone'), 'UNHEALTHY', TOLD_MS);
  const toldAtMs = performance.now();
  // Kubernetes takes longer: whoever counts only that knows nothing yet.
  expect(conditionOf(await podOf('alone'), 'Ready')?.status).toBe('True');
  expect(statusOf(keyOf('alone', 'plain'))).toBe('ACTIVE');
  const detail = async () =>
    (await stage.registration(NAMESPACE, 'alone-service'))?.status?.details.find(({ pod }) => pod === 'alone');
  await waitFor('the status to say why', async () => {
    const found = await detail();
    return found?.['status'] === 'UNHEALTHY' && found['reason'] === 'NodeSilent';
  });
  expect(await operator.metric('rollcall_nodes_silent')).toBe(1);
  await untilStatus(keyOf('alone'), undefined, GONE_AFTER_MS - (performance.now() - toldAtMs) + 500);
  const goneAtMs = performance.now();
  const before = await leaseOf('one-0');
  await one.restart();
  await waitFor('the lease to move', async () => (await leaseOf('one-0')) !== before, {
    deadlineMs: 30_000,
    intervalMs: 20,
  });
  const movedAtMs = performance.now();
  await untilStatus(keyOf('alone'), 'ACTIVE', BACK_MS);
  process.stdout.write(
    `UNHEALTHY ${Math.round(toldAtMs - lostAtMs)} ms after the loss, gone ${Math.round(goneAtMs - lostAtMs)} ms, back ${Math.round(performance.now() - movedAtMs)} ms after the lease moved\n`,
  );
  // Counted once a second.
  await waitFor('no node to count as silent', async () => (await operator.metric('rollcall_nodes_silent')) === 0, {
    deadlineMs: 5_000,
  });
}, 120_000);

test('when four of seven are lost nothing is concluded, also when Kubernetes marks their pods; a person may know better', async () => {
  const from = observer.mark();
  await many.kill('SIGKILL');
  await untilStatus(keyOf('kept', 'plain'), 'UNHEALTHY', MARKED_MS);
  // What the node controller writes, and a kubelet never would.
  const marked = await waitFor('the pods to be marked', async () => {
    const pods = await Promise.all(['kept', 'released'].map(podOf));
    return pods.every((pod) => conditionOf(pod, 'Ready')?.status === 'False') && pods;
  });
  for (const pod of marked) {
    expect(conditionOf(pod, 'Ready')?.reason ?? '').toBe('');
    expect(conditionOf(pod, 'ContainersReady')?.status).toBe('True');
  }
  await pause(10_000);
  for (const app of ['kept', 'released']) expect(statusOf(keyOf(app))).toBe('ACTIVE');
  expect(await operator.metric('rollcall_nodes_held')).toBe(MANY);
  expect(await operator.metric('rollcall_nodes_silent')).toBe(0);
  const held = await stage.untilCondition(NAMESPACE, 'kept-service', 'Degraded', 'Holding');
  expect(held.message).toContain('So many nodes are silent at once');
  await stage.untilEvent(NAMESPACE, 'ServiceRegistration/kept-service', 'MassLapseHeld');
  await stage.untilCondition(NAMESPACE, 'kept-plain', 'Degraded', 'TtlShorterThanHandover');

  const annotations = { 'rollcall.dev/release-brake': new Date().toISOString() };
  await stage.api.patch(`${registrationsPath(NAMESPACE)}/released-service`, { metadata: { annotations } });
  await untilStatus(keyOf('released'), 'UNHEALTHY', 5_000);
  await stage.untilCondition(NAMESPACE, 'released-service', 'Degraded', 'TtlShorterThanHandover');
  expect(statusOf(keyOf('kept'))).toBe('ACTIVE');

  await many.restart();
  // A kubelet tells of its pods anew by itself; kwok, where it lists pods before nodes, not before it hears of them.
  let nudges = 0;
  const readyAgain = async () => {
    nudges += 1;
    const annotations = { nudge: `${nudges}` };
    for (const app of ['kept', 'released'])
      await stage.api.patch(`${podsPath(NAMESPACE)}/${app}`, { metadata: { annotations } });
    const pods = await Promise.all(['kept', 'released'].map(podOf));
    return pods.every((pod) => conditionOf(pod, 'Ready')?.status === 'True');
  };
  await waitFor('the pods to be Ready again', readyAgain, { deadlineMs: 60_000, intervalMs: 2_000 });
  for (const app of ['kept', 'released']) await untilStatus(keyOf(app), 'ACTIVE', 60_000);
  await waitFor('the brake to be released', async () => (await operator.metric('rollcall_nodes_held')) === 0, {
    deadlineMs: 30_000,
  });
  const kept = observer.history(keyOf('kept')).filter(({ seq }) => seq >= (observer.messages[from]?.seq ?? 0));
  expect(kept.filter(({ value }) => value?.status !== 'ACTIVE')).toEqual([]);
  expect(breaches(observer)).toEqual([]);
}, 240_000);
