// The fields of a resource on a real control plane: which layer's word counts, what changes while running, and what is
// registered at all. Two operators: one for the cluster, and one with Roles alone for a single namespace, whose settings
// are all other ones and whose bucket is its own. All cases run at once.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import type { OperatorProcess } from '../../support/operator-process.ts';
import { type Sighting, StreamObserver } from '../../support/stream-observer.ts';
import { breaches } from '../../support/stream-verdicts.ts';
import * as objects from './objects.ts';
import { registrationsPath, START_MS, Stage } from './stage.ts';

const { REGISTER, createPod, createRegistration, createWorkload, isReady, podsPath, untilReadyPods, workloadsPath } =
  objects;
const QUICK = { ttlSeconds: 6, refreshIntervalSeconds: 2 };
const OTHER_BUCKET = 'desk-registry';

let stage: Stage;
let operator: OperatorProcess;
let desk: OperatorProcess;
let observer: StreamObserver;
let deskObserver: StreamObserver;

beforeAll(async () => {
  stage = await Stage.open();
  await stage.cluster.createNamespace('trading');
  await stage.grantNamespaced('trading', 'viewer');
  [operator, desk] = await Promise.all([
    stage.startOperator({ args: ['--exclude-namespace', 'kube-system,kube-public,kube-node-lease,trading'] }),
    stage.startOperator({
      kubeconfig: await stage.cluster.writeKubeconfig({ user: 'viewer' }),
      args: [
        ['--namespace', 'trading', '--operator-id', 'desk', '--bucket', OTHER_BUCKET],
        ['--annotation-prefix', 'desk.example', '--heartbeat-offset', 'Z'],
        ['--default-ttl', '9', '--default-refresh-interval', '3', '--default-instance-id', 'PodName'],
        [
          '--default-metadata',
          '{"cluster":"test"}',
          '--default-metadata-from-labels',
          'tier',
          '--default-port',
          'none',
        ],
        ['--default-version', '{"fromLabel":"release"}', '--default-when-not-ready', 'Remove'],
        ['--key-layout', 'Underscore', '--default-sticky-active-group', 'primary'],
      ].flat(),
    }),
  ]);
  [observer, deskObserver] = await Promise.all([stage.observe(), StreamObserver.open(stage.nats.url, OTHER_BUCKET)]);
}, START_MS);

afterAll(async () => {
  await deskObserver?.close();
  await stage?.close();
});

const ofPod = (pod: objects.Pod, from = 0, among = observer): readonly Sighting[] =>
  among.messages.slice(from).filter(({ podUid, operation }) => podUid === pod.metadata.uid && operation === 'PUT');

const untilWritten = (
  pod: objects.Pod,
  what: string,
  fits: (sighting: Sighting) => boolean,
  from = 0,
  among = observer,
) =>
  among.until(`${pod.metadata.name} ${what}`, (one) => one.podUid === pod.metadata.uid && fits(one), {
    from,
    deadlineMs: 20_000,
  });

const untilActive = (pod: objects.Pod, from = 0) =>
  untilWritten(pod, 'ACTIVE', ({ value }) => value?.status === 'ACTIVE', from);

const ttlOf = (sighting: Sighting | undefined) => Number(sighting?.headers['Nats-TTL']);

const untilEffective = (namespace: string, name: string, effective: object) =>
  waitFor(
    `${namespace}/${name} to tell ${JSON.stringify(effective)}`,
    async () => {
      const told = (await stage.registration(namespace, name))?.status?.effective ?? {};
      return Object.entries(effective).every(([field, value]) => told[field] === value);
    },
    { deadlineMs: 20_000 },
  );

const untilObserved = (namespace: string, name: string) =>
  waitFor(
    `${namespace}/${name} to be seen as it is`,
    async () => {
      const stored = await stage.registration(namespace, name);
      return stored?.status?.observedGeneration === stored?.metadata.generation;
    },
    { deadlineMs: 20_000 },
  );

const change = (namespace: string, name: string, spec: object) =>
  stage.api.patch(`${registrationsPath(namespace)}/${name}`, { spec });

const annotate = (path: string, annotations: Readonly<Record<string, string | null>>) =>
  stage.api.patch(path, { metadata: { annotations } });

const untilPod = (pod: objects.Pod, ready: boolean) =>
  waitFor(
    `${pod.metadata.name} to be ${ready ? 'Ready' : 'not Ready'}`,
    async () =>
      isReady(await stage.api.get<objects.Pod>(`${podsPath(pod.metadata.namespace ?? '')}/${pod.metadata.name}`)) ===
      ready,
    { deadlineMs: 20_000, intervalMs: 50 },
  );

const theOnly = async (namespace: string, app: string): Promise<objects.Pod> => {
  const [pod] = await untilReadyPods(stage.api, namespace, app, 1);
  if (pod === undefined) throw new Error('no pod');
  return pod;
};

const selecting = (app: string) => ({ selector: { matchLabels: { app } } });

describe.concurrent('what counts', () => {
  test('is the nearest word: pod, resource, workload, namespace, installation', { timeout: 120_000 }, async () => {
    await stage.cluster.createNamespace('layers', {
      annotations: {
        'rollcall.dev/defaults': '{"ttlSeconds":9,"whenNotReady":"Remove","metadata":{"from":"namespace"}}',
      },
    });
    await createRegistration(stage.api, 'layers', 'layered', selecting('layered'));
    await createWorkload(stage.api, 'layers', 'layered', { annotations: { 'rollcall.dev/version': '1.0.0' } });
    const pod = await theOnly('layers', 'layered');
    const first = await untilActive(pod);
    expect(ttlOf(first)).toBe(9);
    expect(first.value).toMatchObject({ version: '1.0.0', metadata: { from: 'namespace' } });
    await annotate(`${podsPath('layers')}/${pod.metadata.name}`, { 'rollcall.dev/metadata': '{"of":"pod"}' });
    const own = await untilWritten(pod, 'with its own word', ({ value }) => value?.metadata['of'] === 'pod');
    expect(own.value?.metadata).toMatchObject({ from: 'namespace' });
    await untilEffective('layers', 'layered', { ttlSeconds: 9, refreshIntervalSeconds: 3, whenNotReady: 'Remove' });

    const workload = `${workloadsPath('layers', 'Deployment')}/layered`;
    await annotate(workload, { 'rollcall.dev/ttl': '30s', 'rollcall.dev/when-not-ready': 'Lapse' });
    await untilWritten(pod, 'with 30 s', (one) => ttlOf(one) === 30);
    await untilEffective('layers', 'layered', { ttlSeconds: 30, refreshIntervalSeconds: 10, whenNotReady: 'Lapse' });

    await change('layers', 'layered', { ttlSeconds: 12, metadata: { from: 'resource' } });
    const written = await untilWritten(pod, 'with 12 s', (one) => ttlOf(one) === 12);
    expect(written.value?.metadata).toMatchObject({ from: 'resource', of: 'pod' });
    await untilEffective('layers', 'layered', { ttlSeconds: 12, refreshIntervalSeconds: 4, whenNotReady: 'Lapse' });

    // Each layer away again, from the top.
    const last = observer.mark();
    await change('layers', 'layered', { ttlSeconds: null, metadata: null });
    await untilWritten(pod, 'with 30 s again', (one) => ttlOf(one) === 30, last);
    await annotate(workload, { 'rollcall.dev/ttl': null, 'rollcall.dev/when-not-ready': null });
    await untilWritten(pod, 'with 9 s again', (one) => ttlOf(one) === 9, last);
    await annotate('/api/v1/namespaces/layers', { 'rollcall.dev/defaults': null });
    await untilEffective('layers', 'layered', {
      ttlSeconds: 30,
      refreshIntervalSeconds: 10,
      whenNotReady: 'MarkUnhealthy',
    });
    expect(observer.history(first.key ?? '').filter(({ operation }) => operation !== 'PUT')).toEqual([]);
  });

  test('stays where an annotation turns wrong, and an Event says what would be right', {
    timeout: 90_000,
  }, async () => {
    await stage.cluster.createNamespace('wrong', { annotations: { 'rollcall.dev/defaults': '{"ttlSeconds":9}' } });
    await createRegistration(stage.api, 'wrong', 'wronged', selecting('wronged'));
    await createWorkload(stage.api, 'wrong', 'wronged', { annotations: { 'rollcall.dev/when-not-ready': 'Remove' } });
    const pod = await theOnly('wrong', 'wronged');
    await untilActive(pod);
    await untilEffective('wrong', 'wronged', { ttlSeconds: 9, whenNotReady: 'Remove' });
    await annotate('/api/v1/namespaces/wrong', { 'rollcall.dev/defaults': '{"ttlSeconds":9,"ttl":5}' });
    await annotate(`${workloadsPath('wrong', 'Deployment')}/wronged`, { 'rollcall.dev/when-not-ready': 'delete' });
    const events = await Promise.all([
      stage.untilEvent('wrong', 'ServiceRegistration/wronged', 'InvalidAnnotation', 20_000),
      stage.untilEvent('wrong', 'Deployment/wronged', 'InvalidAnnotation', 20_000),
      stage.untilEvent('default', 'Namespace/wrong', 'InvalidAnnotation', 20_000),
    ]);
    expect(events.map(({ note }) => note)).toEqual([
      expect.stringContaining('"ttl"'),
      expect.stringContaining('MarkUnhealthy or Lapse or Remove'),
      expect.stringContaining('its last good value stays'),
    ]);
    const from = observer.mark();
    const next = await untilActive(pod, from);
    expect(ttlOf(next)).toBe(9);
    await untilEffective('wrong', 'wronged', { ttlSeconds: 9, whenNotReady: 'Remove' });
  });
});

describe.concurrent('what changes while running', () => {
  test('TTL and interval, longer and shorter: written at once, and nothing lapses', { timeout: 90_000 }, async () => {
    await stage.cluster.createNamespace('paced');
    await createRegistration(stage.api, 'paced', 'paced', { ...selecting('paced'), ...QUICK });
    await createWorkload(stage.api, 'paced', 'paced', { annotations: {}, replicas: 2 });
    const pods = await untilReadyPods(stage.api, 'paced', 'paced', 2);
    const keys = await Promise.all(pods.map(async (pod) => (await untilActive(pod)).key ?? ''));
    for (const [ttlSeconds, refreshIntervalSeconds] of [
      [3_600, 1_200],
      [9, 3],
      [30, 1],
      [6, 2],
    ] as const) {
      const from = observer.mark();
      await change('paced', 'paced', { ttlSeconds, refreshIntervalSeconds });
      await Promise.all(
        pods.map((pod) => untilWritten(pod, `with ${ttlSeconds} s`, (one) => ttlOf(one) === ttlSeconds, from)),
      );
    }
    // The last interval is kept to: at least two refreshes of each within two TTLs.
    const from = observer.mark();
    const refreshed = (pod: objects.Pod) => ofPod(pod, from).length >= 2;
    await waitFor('two refreshes of each', () => pods.every(refreshed), { deadlineMs: 15_000 });
    for (const key of keys) {
      expect(observer.history(key).filter(({ operation }) => operation !== 'PUT')).toEqual([]);
    }
  });

  test('suspend lets the keys lapse and says so; they are back when it ends', { timeout: 90_000 }, async () => {
    await stage.cluster.createNamespace('resting');
    await createRegistration(stage.api, 'resting', 'rested', { ...selecting('rested'), ...QUICK });
    await createWorkload(stage.api, 'resting', 'rested', { annotations: {} });
    const pod = await theOnly('resting', 'rested');
    const { key } = await untilActive(pod);
    const from = observer.mark();
    await change('resting', 'rested', { suspend: true });
    await stage.untilCondition('resting', 'rested', 'Ready', 'Suspended');
    const gone = await observer.until('the lapse', (one) => one.key === key && one.operation !== 'PUT', {
      from,
      deadlineMs: 20_000,
    });
    expect(gone.operation).toBe('MaxAge');
    expect(ofPod(pod, from).filter(({ value }) => value?.status !== 'ACTIVE')).toEqual([]);
    const resumed = observer.mark();
    await change('resting', 'rested', { suspend: false });
    await untilActive(pod, resumed);
    await stage.untilCondition('resting', 'rested', 'Ready', 'Registered');
  });

  test('a flap within notReadyGraceSeconds is not to be seen, a longer one is', { timeout: 120_000 }, async () => {
    await stage.cluster.createNamespace('patient');
    const spec = { ...selecting('patient'), ...QUICK, notReadyGraceSeconds: 300 };
    await createRegistration(stage.api, 'patient', 'patient', spec);
    await createWorkload(stage.api, 'patient', 'patient', { annotations: {} });
    const pod = await theOnly('patient', 'patient');
    const { key = '' } = await untilActive(pod);
    await objects.setReady(stage.api, pod, false);
    await untilPod(pod, false);
    // Refreshed while it is not Ready.
    const away = observer.mark();
    await waitFor('three refreshes', () => ofPod(pod, away).length >= 3, { deadlineMs: 20_000 });
    await objects.setReady(stage.api, pod, true);
    await untilPod(pod, true);
    const back = observer.mark();
    await waitFor('two refreshes', () => ofPod(pod, back).length >= 2, { deadlineMs: 20_000 });
    expect(new Set(observer.history(key).map(({ value }) => value?.status))).toEqual(new Set(['ACTIVE']));

    await change('patient', 'patient', { notReadyGraceSeconds: 4 });
    const sinceMs = performance.now();
    await objects.setReady(stage.api, pod, false);
    const down = await untilWritten(pod, 'UNHEALTHY', ({ value }) => value?.status === 'UNHEALTHY', back);
    expect(down.atMs - sinceMs).toBeGreaterThan(3_900);
    expect(down.headers['Rollcall-Reason']).toBe('NotReady');

    // Deletion waits for no grace.
    const recovered = observer.mark();
    await change('patient', 'patient', { notReadyGraceSeconds: 300 });
    await untilObserved('patient', 'patient');
    await objects.setReady(stage.api, pod, true);
    await untilActive(pod, recovered);
    await objects.setReady(stage.api, pod, false);
    await untilPod(pod, false);
    const deleted = observer.mark();
    await objects.deletePod(stage.api, pod);
    const gone = await untilWritten(pod, 'gone', ({ value }) => value?.status === 'UNHEALTHY', deleted);
    expect(gone.headers['Rollcall-Reason']).toBe('Terminating');
  });

  test('a StatefulSet pod is replaced: its key passes to the new UID, and the old one is heard no more', {
    timeout: 120_000,
  }, async () => {
    await stage.cluster.createNamespace('stateful');
    await createWorkload(stage.api, 'stateful', 'stateful', {
      kind: 'StatefulSet',
      annotations: { ...REGISTER, 'rollcall.dev/instance-id': 'PodName', 'rollcall.dev/ttl': '6s' },
    });
    let pod = await theOnly('stateful', 'stateful');
    const key = 'service-instances.stateful.stateful-0';
    await untilActive(pod);
    for (let round = 0; round < 3; round += 1) {
      const before = pod;
      // Without a grace of its own the name is free at once, and the old pod's last events arrive with the new one's first.
      await stage.api.delete(`${podsPath('stateful')}/stateful-0`, { gracePeriodSeconds: 0 });
      pod = await waitFor('the next pod', async () => {
        const next = await stage.api.find<objects.Pod>(`${podsPath('stateful')}/stateful-0`);
        return next !== undefined && next.metadata.uid !== before.metadata.uid && isReady(next) ? next : undefined;
      });
      await untilActive(pod);
    }
    const uids = observer.history(key).flatMap(({ podUid, operation }) => (operation === 'PUT' ? podUid : []));
    const turns = uids.filter((uid, index) => uid !== uids[index - 1]);
    expect(turns, 'each incarnation speaks in one piece').toHaveLength(new Set(turns).size);
    expect(turns).toHaveLength(4);
  });
});

describe.concurrent('what is registered, as what', () => {
  test('version, port and labels from where the resource says', { timeout: 90_000 }, async () => {
    await stage.cluster.createNamespace('sourced');
    const sources = [
      ['by-label', { fromLabel: 'release' }, '2.1.0', 'v2.1'],
      ['by-note', { fromAnnotation: 'build.example/version' }, '3.0.1', '3.0.1-rc.4'],
      ['by-image', { fromImageTag: 'app' }, '1.29.0', '1.29'],
    ] as const;
    for (const [name, version] of sources) {
      await createRegistration(stage.api, 'sourced', name, {
        ...selecting('sourced'),
        version,
        port: 8080,
        metadataFromLabels: ['team.example/part-of'],
      });
    }
    const pod = await createPod(stage.api, 'sourced', 'sourced', {
      annotations: { 'build.example/version': '3.0.1-rc.4' },
      labels: { app: 'sourced', release: 'v2.1', 'team.example/part-of': 'desk' },
      image: 'registry.invalid/app:1.29',
    });
    for (const [name, , version, sourceVersion] of sources) {
      const first = await untilWritten(pod, `as ${name}`, ({ value }) => value?.serviceName === name);
      expect(first.value).toMatchObject({ version, metadata: { sourceVersion, port: 8080, 'part-of': 'desk' } });
      await stage.untilCondition('sourced', name, 'Degraded', 'VersionNormalised');
      await stage.untilEvent('sourced', `ServiceRegistration/${name}`, 'VersionNormalised');
    }
    // A pod of no workload says of itself what a workload's annotations would, and hears what is wrong with it.
    const bare = `${podsPath('sourced')}/sourced`;
    await annotate(bare, { 'rollcall.dev/ttl': '9', 'rollcall.dev/when-not-ready': 'delete' });
    await untilWritten(pod, 'with 9 s', (one) => ttlOf(one) === 9);
    const { note } = await stage.untilEvent('sourced', 'Pod/sourced', 'InvalidAnnotation');
    expect(note).toContain('when-not-ready must be');
    // The pod's own word goes before all of them.
    await annotate(bare, { 'rollcall.dev/version': '4.0.0' });
    await untilWritten(
      pod,
      'by its own word',
      ({ value }) => value?.serviceName === 'by-label' && value.version === '4.0.0',
    );
    await annotate(bare, { 'rollcall.dev/register': 'false' });
    await untilWritten(pod, 'out', ({ value }) => value?.serviceName === 'by-label' && value.status === 'UNHEALTHY');
    const listed = await stage.api.list(`${registrationsPath('sourced')}?fieldSelector=status.serviceName%3Dby-note`);
    expect(listed.map(({ metadata }) => metadata.name)).toEqual(['by-note']);
  });

  test('nothing of an excluded namespace', { timeout: 60_000 }, async () => {
    await createRegistration(stage.api, 'kube-public', 'excluded', selecting('excluded'));
    const excluded = await createPod(stage.api, 'kube-public', 'excluded');
    await stage.cluster.createNamespace('included');
    await createRegistration(stage.api, 'included', 'included', selecting('included'));
    await untilActive(await createPod(stage.api, 'included', 'included'));
    await untilPod(excluded, true);
    // What came later is registered and reported; so this would have been.
    await stage.untilCondition('included', 'included', 'Ready', 'Registered');
    expect(ofPod(excluded)).toEqual([]);
    expect((await stage.registration('kube-public', 'excluded'))?.status).toBeUndefined();
  });
});

test('an operator with Roles alone serves its namespace, by its own defaults and prefix', {
  timeout: 120_000,
}, async () => {
  await createWorkload(stage.api, 'trading', 'desk-service', {
    annotations: { 'desk.example/register': 'true' },
    podLabels: { release: '5.6.7', tier: 'gold' },
  });
  const pod = await theOnly('trading', 'desk-service');
  const activeUnder = (key: string) =>
    untilWritten(
      pod,
      `ACTIVE under ${key}`,
      (one) => one.key === key && one.value?.status === 'ACTIVE',
      0,
      deskObserver,
    );
  const first = await activeUnder(`service-instances.desk-service.${pod.metadata.name}`);
  await activeUnder(`service-instances_desk-service_${pod.metadata.name}`);
  expect(ttlOf(first)).toBe(9);
  expect(first.headers['Rollcall-Owner']).toMatch(/^desk\/trading\//);
  expect(first.value?.lastHeartbeat).toMatch(/Z$/);
  expect(first.value).toMatchObject({ version: '5.6.7', metadata: { cluster: 'test', tier: 'gold' } });
  expect(first.value).toMatchObject({ stickyActiveGroup: 'primary', metadata: { stickyTerm: expect.any(Number) } });
  expect(first.value?.metadata).not.toHaveProperty('port');
  await untilEffective('trading', 'desk-service', {
    ...{ ttlSeconds: 9, refreshIntervalSeconds: 3, whenNotReady: 'Remove' },
    ...{ keyLayout: 'Underscore', stickyActiveGroup: 'primary' },
  });
  expect((await desk.readyz()).status).toBe(200);
  const [said] = desk.log().filter(({ msg }) => msg === 'single namespaces are watched');
  expect(said).toMatchObject({ level: 'warn', namespaces: ['trading'] });
  expect(said?.['unavailable']).toContain('defaults by annotations of namespaces');
  expect(JSON.stringify(said?.['unavailable'])).toContain('nodeLoss: NodeLease');
  // The other operator takes this prefix for somebody else's.
  expect(ofPod(pod)).toEqual([]);
});

test('nothing in either stream broke the contract, and nothing in the logs is an accident', () => {
  for (const among of [observer, deskObserver]) expect(breaches(among)).toEqual([]);
  for (const one of [operator, desk]) {
    expect(one.crashes()).toEqual([]);
    expect(one.log().filter(({ level }) => level === 'error')).toEqual([]);
  }
});
