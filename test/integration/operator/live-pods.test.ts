// Pods that are registered already, or cannot be in the ordinary way, on a real API server: what somebody then writes on
// them, and shapes that the API server lets in. All cases share one control plane without controllers and run at once.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import type { OperatorProcess } from '../../support/operator-process.ts';
import type { Sighting, StreamObserver } from '../../support/stream-observer.ts';
import { breaches } from '../../support/stream-verdicts.ts';
import { createPod, createRegistration, type Pod, type PodOptions, podsPath, REGISTER } from './objects.ts';
import { type Registration, registrationsPath, START_MS, Stage } from './stage.ts';

const NAMESPACE = 'live';
const QUICK = { ttlSeconds: 6, refreshIntervalSeconds: 2 };
/** No KWOK plays pods there: their status is what the test says. */
const NOWHERE = 'nowhere';

let stage: Stage;
let observer: StreamObserver;
let operator: OperatorProcess;

beforeAll(async () => {
  stage = await Stage.open({ controlPlane: { controllerManager: false, scheduler: false } });
  operator = await stage.startOperator({ await: 'readyz' });
  observer = await stage.observe();
  await stage.cluster.createNamespace(NAMESPACE);
}, START_MS);

afterAll(() => stage?.close());

const aPod = (name: string, options: PodOptions = {}) =>
  createPod(stage.api, NAMESPACE, name, { node: 'node-0', port: 'http', ...options });
const aService = (name: string, spec: object = {}) =>
  createRegistration(stage.api, NAMESPACE, name, { selector: { matchLabels: { app: name } }, ...QUICK, ...spec });

const writtenFor = ({ metadata }: Pod, from = 0): readonly Sighting[] =>
  observer.messages.slice(from).filter(({ podUid, operation }) => podUid === metadata.uid && operation === 'PUT');
const untilWritten = ({ metadata }: Pod, what: string, fits: (sighting: Sighting) => boolean, from = 0) =>
  observer.until(`${metadata.name} ${what}`, (one) => one.podUid === metadata.uid && fits(one), {
    from,
    deadlineMs: 20_000,
  });
const untilActive = (pod: Pod) => untilWritten(pod, 'ACTIVE', ({ value }) => value?.status === 'ACTIVE');
const annotate = ({ metadata }: Pod, annotations: Readonly<Record<string, string | null>>) =>
  stage.api.patch(`${podsPath(NAMESPACE)}/${metadata.name}`, {
    metadata: {
      annotations: Object.fromEntries(
        Object.entries(annotations).map(([name, text]) => [`rollcall.dev/${name}`, text]),
      ),
    },
  });

const withoutTime = ({ value }: Sighting) => ({ ...value, lastHeartbeat: '' });

/** Nothing was written for the pod but refreshes of what stood, two of them at least. */
const untilOnlyRefreshed = async (pod: Pod, stood: Sighting, from: number): Promise<void> => {
  await waitFor(`two refreshes of ${pod.metadata.name}`, () => writtenFor(pod, from).length >= 2, {
    deadlineMs: 20_000,
  });
  for (const written of writtenFor(pod, from)) {
    expect(written.headers['Rollcall-Reason']).toBe('Refresh');
    expect(written.headers['Nats-TTL']).toBe(stood.headers['Nats-TTL']);
    expect(withoutTime(written)).toEqual(withoutTime(stood));
    expect(written.key).toBe(stood.key);
  }
};

describe.concurrent('a typo on a pod that is registered changes nothing but an Event', () => {
  const said = { version: '2.0.0', port: '9090', metadata: '{"team":"fx"}' };
  const annotations = Object.fromEntries(Object.entries(said).map(([name, text]) => [`rollcall.dev/${name}`, text]));

  test.each([
    ['version', ''],
    ['port', 'htpp'],
    ['port', '65536'],
    ['metadata', '{"team":fx}'],
  ])('%s: "%s"', async (annotation, wrong) => {
    const name = `typo-${annotation}-${wrong.length}`;
    await aService(name, { version: { value: '1.0.0' }, port: 7777, metadata: { team: 'resource' } });
    const pod = await aPod(name, { annotations });
    const stood = await untilActive(pod);
    expect(stood.value).toMatchObject({ version: '2.0.0', metadata: { port: 9090, team: 'fx' } });
    const from = observer.mark();
    await annotate(pod, { [annotation]: wrong });
    const { note } = await stage.untilEvent(NAMESPACE, `Pod/${name}`, 'InvalidAnnotation', 20_000);
    expect(note).toMatch(new RegExp(`^${annotation} must .*It is "`));
    await untilOnlyRefreshed(pod, stood, from);
    // Put right, it is followed; taken away, the resource's word counts.
    await annotate(pod, { version: '2.0.1' });
    await untilWritten(pod, 'as it says now', ({ value }) => value?.version === '2.0.1', from);
    await annotate(pod, { version: null, port: null, metadata: null });
    const last = await untilWritten(
      pod,
      'as the resource says',
      ({ value }) => value?.version === '1.0.0' && value.metadata['port'] === 7777,
      from,
    );
    expect(last.value?.metadata['team']).toBe('resource');
  });

  test.each(['TRUE', 'yes', '1'])('register: "%s" on a bare pod', async (wrong) => {
    const name = `bare-${wrong.toLowerCase()}-service`;
    const ttl = { 'rollcall.dev/ttl': '6s', 'rollcall.dev/refresh-interval': '2s' };
    const pod = await aPod(name, { annotations: { ...REGISTER, ...ttl } });
    const stood = await untilActive(pod);
    const owned = await stage.registration(NAMESPACE, name);
    const from = observer.mark();
    await annotate(pod, { register: wrong });
    const { note, type } = await stage.untilEvent(NAMESPACE, `Pod/${name}`, 'InvalidAnnotation', 20_000);
    expect(note).toBe(`register must be "true" or "false". It is "${wrong}".`);
    expect(type).toBe('Warning');
    await untilOnlyRefreshed(pod, stood, from);
    const still = await stage.registration(NAMESPACE, name);
    expect(still?.metadata.uid).toBe(owned?.metadata.uid);
    expect(still?.metadata.deletionTimestamp).toBeUndefined();
  });
});

describe.concurrent('a pod', () => {
  const selector = { matchLabels: { app: 'odd-service' } };
  const container = (name: string, more: object = {}) => ({ name, image: 'registry.invalid/app:1.4.2', ...more });
  const post = (name: string, spec: object, dryRun = false) =>
    stage.api.post<Pod>(`${podsPath(NAMESPACE)}${dryRun ? '?dryRun=All' : ''}`, {
      metadata: { name, labels: { app: 'odd-service' } },
      spec: { nodeName: NOWHERE, terminationGracePeriodSeconds: 0, ...spec },
    });
  const setStatus = (name: string, status: object) =>
    stage.api.patch(`${podsPath(NAMESPACE)}/${name}/status`, { status });
  const ready = { phase: 'Running', podIP: '10.9.9.9', conditions: [{ type: 'Ready', status: 'True' }] };

  beforeAll(() => aService('odd-service', { selector }));

  /** What the resource's status says of the pod. */
  const untilTold = (pod: string, status: string) =>
    waitFor(
      `${pod} to be told ${status}`,
      async () => {
        const details = (await stage.registration(NAMESPACE, 'odd-service'))?.status?.details ?? [];
        return details.find((detail) => detail['pod'] === pod && detail['status'] === status);
      },
      { deadlineMs: 20_000 },
    );

  test('with init containers alone is refused by the API server', async () => {
    const refused = post('init-alone', { initContainers: [container('init')], containers: [] }, true);
    await expect(refused).rejects.toThrow(/spec\.containers: Required value/);
  });

  test('whose ports are its init containers’ and sidecars’ has none of its own', async () => {
    const pod = await post('init-ports', {
      initContainers: [
        container('init', { ports: [{ containerPort: 1111 }] }),
        container('sidecar', { ports: [{ containerPort: 2222 }], restartPolicy: 'Always' }),
      ],
      containers: [container('app')],
    });
    await setStatus('init-ports', ready);
    const { value } = await untilActive(pod);
    expect(value).toMatchObject({ version: '1.4.2', metadata: { pod: 'init-ports', ip: '10.9.9.9' } });
    expect(value?.metadata).not.toHaveProperty('port');
    await untilTold('init-ports', 'ACTIVE');
  });

  test('whose init containers have not ended waits', async () => {
    const pod = await post('initialising', { initContainers: [container('init')], containers: [container('app')] });
    await setStatus('initialising', {
      phase: 'Pending',
      conditions: [
        { type: 'Initialized', status: 'False', reason: 'ContainersNotInitialized' },
        { type: 'Ready', status: 'False', reason: 'ContainersNotReady' },
      ],
    });
    expect(await untilTold('initialising', 'Pending')).toMatchObject({ reason: 'PodNotReady' });
    expect(writtenFor(pod)).toEqual([]);
  });

  test('on the host network has its node’s address and port', async () => {
    const pod = await post('host', {
      hostNetwork: true,
      containers: [container('app', { ports: [{ containerPort: 8080, hostPort: 8080 }] })],
    });
    await setStatus('host', { ...ready, podIP: '192.168.0.1', hostIP: '192.168.0.1' });
    expect((await untilActive(pod)).value?.metadata).toMatchObject({ ip: '192.168.0.1', port: 8080, node: NOWHERE });
  });

  test('Ready without an address is registered without one, and with it as soon as it has it', async () => {
    const pod = await post('no-ip', { containers: [container('app')] });
    await setStatus('no-ip', { ...ready, podIP: null });
    const { value } = await untilActive(pod);
    expect(value?.metadata).not.toHaveProperty('ip');
    await setStatus('no-ip', { podIP: '10.9.9.10', podIPs: [{ ip: '10.9.9.10' }] });
    await untilWritten(pod, 'with its address', (one) => one.value?.metadata['ip'] === '10.9.9.10');
  });

  test('that Succeeded leaves the registry, and one that is born so never enters', async () => {
    const [done, never] = await Promise.all(
      ['done', 'never'].map((name) => post(name, { restartPolicy: 'Never', containers: [container('app')] })),
    );
    if (done === undefined || never === undefined) throw new Error('no pods');
    // Ready says so still: what is over is over all the same.
    await setStatus('never', { ...ready, phase: 'Succeeded' });
    await setStatus('done', ready);
    const { key } = await untilActive(done);
    await setStatus('done', { ...ready, phase: 'Succeeded' });
    await untilWritten(done, 'UNHEALTHY', ({ value }) => value?.status === 'UNHEALTHY');
    await waitFor('its lapse', () => key !== undefined && !observer.live.has(key), { deadlineMs: 20_000 });
    expect(writtenFor(never)).toEqual([]);
    // Neither is counted any more.
    const counted = await waitFor('the status', async () => {
      const { details = [] } = (await stage.registration(NAMESPACE, 'odd-service'))?.status ?? {};
      return details.every(({ pod }) => pod !== 'done' && pod !== 'never');
    });
    expect(counted).toBe(true);
  });
});

test('the resources say what they hold, nothing unreadable was written, and nothing crashed', async () => {
  const all = await stage.api.list<Registration>(registrationsPath(NAMESPACE));
  expect(all.length).toBeGreaterThan(7);
  expect(breaches(observer)).toEqual([]);
  expect(operator.crashes()).toEqual([]);
});
