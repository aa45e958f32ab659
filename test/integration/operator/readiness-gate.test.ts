// The readiness gate on a real API server, with KWOK in the kubelet's part: a rollout waits for the registry, and neither a
// registry that is away nor a mistake goes without a word. The right to patch pods/status comes from the shipped component.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import type { OperatorProcess } from '../../support/operator-process.ts';
import type { StreamObserver } from '../../support/stream-observer.ts';
import {
  conditionOf,
  createPod,
  createRegistration,
  createWorkload,
  GATE,
  isReady,
  type Pod,
  podsPath,
  untilReadyPods,
  workloadsPath,
} from './objects.ts';
import { START_MS, Stage } from './stage.ts';

const NAMESPACE = 'gated';
/** Of --readiness-gate-timeout. The health of the registry is looked at a few times within it. */
const TIMEOUT_S = 8;
const COMPONENT = join(import.meta.dirname, '../../../manifests/components/readiness-gates/kustomization.yaml');

let stage: Stage;
let operator: OperatorProcess;
let observer: StreamObserver;

beforeAll(async () => {
  stage = await Stage.open();
  await stage.cluster.createNamespace(NAMESPACE);
}, START_MS);

afterAll(() => stage?.close());

/** The JSON patch of the component, on the role as it stands. */
const grantByComponent = async (): Promise<void> => {
  const { patches } = parse(await readFile(COMPONENT, 'utf8')) as {
    patches: readonly { readonly target: { readonly kind: string }; readonly patch: string }[];
  };
  const patch = patches.find(({ target }) => target.kind === 'ClusterRole')?.patch ?? '';
  await stage.api.patch('/apis/rbac.authorization.k8s.io/v1/clusterroles/rollcall', parse(patch), 'json');
};

const podNamed = (name: string) => stage.api.get<Pod>(`${podsPath(NAMESPACE)}/${name}`);
const podsOf = (app: string) => stage.api.list<Pod>(`${podsPath(NAMESPACE)}?labelSelector=app=${app}`);
const untilGate = (name: string, status: string, reason: string, deadlineMs = 15_000) =>
  waitFor(
    `the gate of ${name} to be ${status}, ${reason}`,
    async () => {
      const gate = conditionOf(await podNamed(name), GATE);
      return gate?.status === status && gate.reason === reason && gate;
    },
    { deadlineMs },
  );
const untilContainersReady = (name: string) =>
  waitFor(`the containers of ${name} to be ready`, async () => {
    const pod = await podNamed(name);
    return conditionOf(pod, 'ContainersReady')?.status === 'True' && pod;
  });

test('without the right it says which one is missing; given, it goes on', async () => {
  const args = ['--readiness-gates', `--readiness-gate-timeout=${TIMEOUT_S}`];
  operator = await stage.startOperator({ args });
  await waitFor('the sentence', async () => {
    const { status, text } = await operator.readyz();
    return status === 503 && text.includes('patch pods/status');
  });
  await grantByComponent();
  await waitFor('the operator to be ready', async () => (await operator.readyz()).status === 200, {
    deadlineMs: 30_000,
  });
  observer = await stage.observe();
}, 60_000);

test('a rollout waits for the registry: no old pod goes before a new one is registered', async () => {
  const app = 'rolling-service';
  await createWorkload(stage.api, NAMESPACE, app, { replicas: 2, gated: true });
  const old = await untilReadyPods(stage.api, NAMESPACE, app, 2);
  for (const pod of old) {
    expect(conditionOf(pod, GATE)).toMatchObject({ status: 'True', reason: 'Registered' });
    const key = observer.ofService(app).find(({ podUid }) => podUid === pod.metadata.uid);
    expect(conditionOf(pod, GATE)?.message).toBe(`${key?.key} stands.`);
  }
  const from = observer.mark();
  // Cut short of the time limit.
  stage.nats.process.pause();
  await stage.api.patch(`${workloadsPath(NAMESPACE, 'Deployment')}/${app}`, {
    spec: {
      strategy: { rollingUpdate: { maxUnavailable: 0 } },
      template: { metadata: { annotations: { turn: '2' } } },
    },
  });
  const added = await waitFor('a new pod that is Ready but for its gate', async () => {
    const pods = await podsOf(app);
    const fresh = pods.find(({ metadata }) => old.every((pod) => pod.metadata.uid !== metadata.uid));
    return fresh !== undefined && conditionOf(fresh, 'ContainersReady')?.status === 'True' && fresh;
  });
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  const waiting = await podsOf(app);
  stage.nats.process.resume();
  expect(isReady(waiting.find(({ metadata }) => metadata.uid === added.metadata.uid) ?? added)).toBe(false);
  expect(old.every((pod) => waiting.some((other) => other.metadata.uid === pod.metadata.uid && isReady(other)))).toBe(
    true,
  );
  const renewed = await waitFor(
    'the rollout to end',
    async () => {
      const pods = await podsOf(app);
      const isNew = (pod: Pod) => old.every(({ metadata }) => metadata.uid !== pod.metadata.uid);
      return pods.length === 2 && pods.every((pod) => isNew(pod) && isReady(pod)) && pods;
    },
    { deadlineMs: 60_000 },
  );
  // The stream's order: the first old key was given up only after a new one stood.
  const written = observer.messages.slice(from).filter(({ key }) => key?.includes(app) === true);
  const firstNew = written.findIndex(
    ({ podUid, value }) => value?.status === 'ACTIVE' && renewed.some(({ metadata }) => metadata.uid === podUid),
  );
  const firstFarewell = written.findIndex(({ value }) => value?.status === 'UNHEALTHY');
  expect(firstNew).toBeGreaterThanOrEqual(0);
  expect(firstFarewell).toBeGreaterThan(firstNew);
  // No key said UNHEALTHY between the opening of its gate and the kubelet's noticing.
  for (const { metadata } of renewed) {
    const ofPod = written.filter(({ podUid }) => podUid === metadata.uid);
    expect(ofPod.every(({ value }) => value?.status === 'ACTIVE')).toBe(true);
  }
}, 120_000);

test('what nobody selects says so in the condition and as an Event, and opens once somebody does', async () => {
  const pod = await createPod(stage.api, NAMESPACE, 'stray-service', { gated: true });
  const gate = await untilGate('stray-service', 'False', 'NotSelected');
  expect(gate.message).toMatch(/^No ServiceRegistration selects this pod/);
  const event = await stage.untilEvent(NAMESPACE, 'Pod/stray-service', 'NotSelected');
  expect(event.regarding.uid).toBe(pod.metadata.uid);
  expect(isReady(await podNamed('stray-service'))).toBe(false);
  await createRegistration(stage.api, NAMESPACE, 'stray-service', {
    selector: { matchLabels: { app: 'stray-service' } },
  });
  await untilGate('stray-service', 'True', 'Registered');
  await waitFor('the pod to be Ready', async () => isReady(await podNamed('stray-service')));
}, 60_000);

test('while no operator runs new pods wait; with one they are Ready again at once', async () => {
  await operator.process.kill('SIGKILL');
  await createRegistration(stage.api, NAMESPACE, 'lonely-service', {
    selector: { matchLabels: { app: 'lonely-service' } },
  });
  await createPod(stage.api, NAMESPACE, 'lonely-service', { gated: true });
  await untilContainersReady('lonely-service');
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  const waiting = await podNamed('lonely-service');
  expect(conditionOf(waiting, GATE)).toBeUndefined();
  expect(isReady(waiting)).toBe(false);
  await operator.process.restart();
  await untilGate('lonely-service', 'True', 'Registered', 30_000);
}, 60_000);

test('a registry that is away for longer than the time limit holds up no rollout, and is told', async () => {
  await stage.nats.process.kill('SIGKILL');
  const killedAtMs = Date.now();
  await createRegistration(stage.api, NAMESPACE, 'patient-service', {
    selector: { matchLabels: { app: 'patient-service' } },
  });
  const pod = await createPod(stage.api, NAMESPACE, 'patient-service', { gated: true });
  const gate = await untilGate('patient-service', 'True', 'RegistryUnavailable', 40_000);
  expect(Date.now() - killedAtMs).toBeGreaterThan(TIMEOUT_S * 1_000 - 1_000);
  expect(gate.message).toContain(`for ${TIMEOUT_S} s or more`);
  await stage.untilEvent(NAMESPACE, 'Pod/patient-service', 'RegistryUnavailable');
  await waitFor('the pod to be Ready', async () => isReady(await podNamed('patient-service')));
  await stage.nats.process.restart();
  await observer.until('its key', ({ podUid, value }) => podUid === pod.metadata.uid && value?.status === 'ACTIVE', {
    deadlineMs: 30_000,
  });
  expect(conditionOf(await podNamed('patient-service'), GATE)).toMatchObject({ status: 'True' });
  expect(operator.crashes()).toEqual([]);
}, 120_000);
