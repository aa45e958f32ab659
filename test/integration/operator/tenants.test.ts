// Teams that share a cluster, on a real API server: the ways to share names that need other settings than the default, a
// quota of bytes, and how long a quiet namespace waits while another one is all excess. One control plane without
// controllers; three operators, each with namespaces and a bucket of its own. What is first come is `names.test.ts`.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import type { OperatorProcess } from '../../support/operator-process.ts';
import { type Sighting, StreamObserver } from '../../support/stream-observer.ts';
import { breaches } from '../../support/stream-verdicts.ts';
import { createPod, createRegistration, deletePod, type Pod, type PodOptions, podsPath } from './objects.ts';
import { BUCKET, POLICIES, registrationsPath, START_MS, Stage } from './stage.ts';

const NAMESPACES = {
  open: ['open-a', 'open-b', 'noisy', 'quiet'],
  prefixed: ['desk', 'desk-fx', 'fenced', `${'x'.repeat(55)}-team`],
  bounded: ['roomy', 'cramped'],
} as const;
const QUOTA_BYTES = 3_000;
/** No KWOK plays pods there: their status is what the test says. */
const NOWHERE = 'nowhere';
const NOISY_PODS = 300;
/** At any time so many of them are about to change. */
const NOISY_HANDS = 8;
const QUIET_PODS = 10;
/** What a namespace may wait for its pods to be visible, whatever the others do; most of it is the API server's on a machine
 * that is short of cores. */
const VISIBLE_MS = 5_000;
const QUICK = { ttlSeconds: 6, refreshIntervalSeconds: 2 };

type Kind = keyof typeof NAMESPACES;

let stage: Stage;
const operators: OperatorProcess[] = [];
const observers = new Map<Kind, StreamObserver>();

beforeAll(async () => {
  stage = await Stage.open({ controlPlane: { controllerManager: false, scheduler: false } });
  await Promise.all(
    Object.values(NAMESPACES).flatMap((names) => names.map((name) => stage.cluster.createNamespace(name))),
  );
  const start = async (kind: Kind, bucket: string, ...args: readonly string[]) => {
    const others = Object.entries(NAMESPACES).flatMap(([other, names]) => (other === kind ? [] : names));
    const own = [`--operator-id=${kind}`, `--bucket=${bucket}`, `--exclude-namespace=${others.join()}`];
    operators.push(await stage.startOperator({ await: 'readyz', args: [...own, ...args] }));
    const observer = bucket === BUCKET ? await stage.observe() : await StreamObserver.open(stage.nats.url, bucket);
    observers.set(kind, observer);
  };
  await start('open', 'open-registry', '--name-claims=Open');
  await start('prefixed', 'prefixed-registry', '--name-claims=Prefixed');
  await start('bounded', BUCKET, `--quota-bytes=${QUOTA_BYTES}`);
}, START_MS);

afterAll(async () => {
  await observers.get('open')?.close();
  await observers.get('prefixed')?.close();
  await stage?.close();
});

const seenBy = (kind: Kind): StreamObserver => {
  const observer = observers.get(kind);
  if (observer === undefined) throw new Error(`no observer of ${kind}`);
  return observer;
};
const aPod = (namespace: string, name: string, app: string, options: PodOptions = {}): Promise<Pod> =>
  createPod(stage.api, namespace, name, { labels: { app }, node: 'node-0', ...options });
const aService = (namespace: string, name: string, spec: object = {}) =>
  createRegistration(stage.api, namespace, name, { selector: { matchLabels: { app: name } }, ...QUICK, ...spec });

const statusesOf = (kind: Kind, service: string): readonly string[] =>
  seenBy(kind)
    .ofService(service)
    .map(({ value }) => `${value?.metadata['namespace']}/${value?.metadata['pod']} ${value?.status}`)
    .toSorted();
const untilStatuses = (kind: Kind, service: string, expected: readonly string[]): Promise<unknown> =>
  waitFor(`the keys of ${service}`, () => statusesOf(kind, service).join() === expected.join(), {
    deadlineMs: 20_000,
  }).catch((error: unknown) => {
    throw new Error(`${service} has ${statusesOf(kind, service).join()}`, { cause: error });
  });
/** The API server's dates have seconds. */
const secondsPass = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1_100));

describe('--name-claims=Open', () => {
  test('several namespaces share a service, and each resource tells of its own pods', async () => {
    for (const namespace of ['open-a', 'open-b']) {
      await aService(namespace, 'shared-api');
      await aPod(namespace, 'pod', 'shared-api');
    }
    await untilStatuses('open', 'shared-api', ['open-a/pod ACTIVE', 'open-b/pod ACTIVE']);
    for (const namespace of ['open-a', 'open-b']) {
      await stage.untilCondition(namespace, 'shared-api', 'Ready', 'Registered');
      expect((await stage.registration(namespace, 'shared-api'))?.status).toMatchObject({ ready: '1/1' });
    }
  });

  test('a sticky group is one across them, and its role passes from one to the other', async () => {
    const sticky = { stickyActiveGroup: 'primary' };
    await aService('open-a', 'matcher', sticky);
    const first = await aPod('open-a', 'pod-a', 'matcher');
    await untilStatuses('open', 'matcher', ['open-a/pod-a ACTIVE']);
    await aService('open-b', 'matcher', sticky);
    await aPod('open-b', 'pod-b', 'matcher');
    await untilStatuses('open', 'matcher', ['open-a/pod-a ACTIVE', 'open-b/pod-b STANDBY']);
    const from = seenBy('open').mark();
    await deletePod(stage.api, first);
    const successor = await seenBy('open').until(
      'the successor',
      ({ value }) => value?.metadata['pod'] === 'pod-b' && value.status === 'ACTIVE',
      { from },
    );
    const [before] = seenBy('open')
      .messages.slice(from)
      .filter(({ value, seq }) => value?.metadata['pod'] === 'pod-a' && seq < successor.seq);
    expect(before?.value?.status).toBe('UNHEALTHY');
    await stage.untilEvent('open-b', 'Pod/pod-b', 'RoleChanged');
  });

  test('two pods that come to one id by their name: the older has it, the younger is told, on the pod as well', async () => {
    const byName = { instanceId: 'PodName' };
    await aService('open-a', 'named-api', byName);
    await aPod('open-a', 'web-0', 'named-api');
    await untilStatuses('open', 'named-api', ['open-a/web-0 ACTIVE']);
    await secondsPass();
    await aService('open-b', 'named-api', byName);
    await aPod('open-b', 'web-0', 'named-api');
    const told = await stage.untilCondition('open-b', 'named-api', 'Conflict', 'SameInstanceId');
    expect(told.message).toContain('open-a/web-0');
    expect((await stage.untilEvent('open-b', 'Pod/web-0', 'Conflict')).note).toContain('open-a/web-0');
    expect(statusesOf('open', 'named-api')).toEqual(['open-a/web-0 ACTIVE']);
  });
});

describe('--name-claims=Prefixed', () => {
  test('the namespace stands before the name, in key and value; the resource keeps its own', async () => {
    await aService('desk', 'fx-api');
    await aPod('desk', 'pod', 'fx-api');
    await untilStatuses('prefixed', 'desk-fx-api', ['desk/pod ACTIVE']);
    const [{ key, value } = { key: '', value: undefined }] = seenBy('prefixed').ofService('desk-fx-api');
    expect(key).toMatch(/^service-instances\.desk-fx-api\.desk-fx-api-[0-9a-f]{8}$/);
    expect(value?.serviceName).toBe('desk-fx-api');
    expect(statusesOf('prefixed', 'fx-api')).toEqual([]);
    await stage.untilCondition('desk', 'fx-api', 'Ready', 'Registered');
  });

  test('of two pairs that come to the same text the older has it', async () => {
    await stage.untilCondition('desk', 'fx-api', 'Ready', 'Registered');
    await secondsPass();
    await aService('desk-fx', 'api');
    await aPod('desk-fx', 'pod', 'api');
    const told = await stage.untilCondition('desk-fx', 'api', 'Ready', 'NameDenied');
    expect(told.message).toContain('desk-fx-api');
    expect(told.message).toContain('desk/fx-api');
    expect(statusesOf('prefixed', 'desk-fx-api')).toEqual(['desk/pod ACTIVE']);
    await stage.api.delete(`${registrationsPath('desk')}/fx-api`);
    await stage.untilCondition('desk-fx', 'api', 'Ready', 'Registered');
    await seenBy('prefixed').until('its key', ({ value }) => value?.metadata['namespace'] === 'desk-fx');
  });

  test('a result that is no service name is InvalidSpec, and nothing is written', async () => {
    const [, , , long] = NAMESPACES.prefixed;
    await aService(long, 'settlement');
    await aPod(long, 'pod', 'settlement');
    const told = await stage.untilCondition(long, 'settlement', 'Ready', 'InvalidSpec');
    expect(told.message).toContain(`${long}-settlement`);
    expect(seenBy('prefixed').messages.filter(({ value }) => value?.metadata['namespace'] === long)).toEqual([]);
  });

  test('policies match the name with its prefix', async () => {
    await stage.api.post(POLICIES, {
      apiVersion: 'rollcall.dev/v1alpha1',
      kind: 'ServiceNamePolicy',
      metadata: { name: 'fenced' },
      spec: { names: ['fenced-*'], namespaces: { matchLabels: { nobody: 'has-this' } } },
    });
    await aService('fenced', 'api');
    await aPod('fenced', 'pod', 'api');
    const told = await stage.untilCondition('fenced', 'api', 'Ready', 'NameDenied');
    expect(told.message).toContain('ServiceNamePolicy fenced');
    expect(statusesOf('prefixed', 'fenced-api')).toEqual([]);
  });
});

test('--quota-bytes: the oldest stay as far as their bytes reach, the next come when there is room', async () => {
  const observer = seenBy('bounded');
  const big = { metadata: { note: 'x'.repeat(500), more: 'y'.repeat(400) } };
  await aService('cramped', 'large-api', big);
  await aService('roomy', 'small-api');
  for (const name of ['old-0', 'old-1']) {
    await aPod('cramped', name, 'large-api');
    await secondsPass();
  }
  await untilStatuses('bounded', 'large-api', ['cramped/old-0 ACTIVE', 'cramped/old-1 ACTIVE']);
  await aPod('cramped', 'young', 'large-api');
  const told = await stage.untilCondition('cramped', 'large-api', 'Ready', 'QuotaExceeded');
  expect(told.message).toContain(`its quota of ${QUOTA_BYTES} bytes of values (--quota-bytes)`);
  await stage.untilEvent('cramped', 'Pod/young', 'QuotaExceeded');
  expect(statusesOf('bounded', 'large-api')).toEqual(['cramped/old-0 ACTIVE', 'cramped/old-1 ACTIVE']);
  const bytes = observer.ofService('large-api').reduce((sum, { body }) => sum + Buffer.byteLength(body), 0);
  expect(bytes).toBeLessThanOrEqual(QUOTA_BYTES);
  // Another namespace has a quota of its own.
  await aPod('roomy', 'pod', 'small-api');
  await untilStatuses('bounded', 'small-api', ['roomy/pod ACTIVE']);
  await stage.api.patch(`${registrationsPath('cramped')}/large-api`, { spec: { metadata: null } });
  await untilStatuses('bounded', 'large-api', ['cramped/old-0 ACTIVE', 'cramped/old-1 ACTIVE', 'cramped/young ACTIVE']);
  await stage.untilCondition('cramped', 'large-api', 'Ready', 'Registered');
}, 60_000);

const setReady = (namespace: string, name: string, ready: boolean): Promise<unknown> =>
  stage.api.patch(`${podsPath(namespace)}/${name}/status`, {
    status: {
      phase: 'Running',
      podIP: '10.9.9.9',
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False', lastTransitionTime: new Date().toISOString() }],
    },
  });

/** From before the API server was told that the pod is Ready until the registry had its key, per pod, in ms. */
const visibleAfterMs = async (prefix: string): Promise<readonly number[]> => {
  const took: number[] = [];
  for (let i = 0; i < QUIET_PODS; i += 1) {
    const pod = await aPod('quiet', `${prefix}-${i}`, 'quiet-api', { node: NOWHERE });
    const fromMs = Date.now();
    await setReady('quiet', pod.metadata.name, true);
    const fits = ({ podUid, value }: Sighting) => podUid === pod.metadata.uid && value?.status === 'ACTIVE';
    const { storedAtMs } = await seenBy('open').until(pod.metadata.name, fits, { deadlineMs: 30_000 });
    took.push(storedAtMs - fromMs);
  }
  return took.toSorted((a, b) => a - b);
};

test('a namespace that is all excess delays no other', async () => {
  await aService('quiet', 'quiet-api');
  await aService('noisy', 'noisy-api', { metadata: { edit: '0' } });
  const names = Array.from({ length: NOISY_PODS }, (_, i) => `noisy-${i}`);
  const hands = <T>(work: () => Promise<T>) => Promise.all(Array.from({ length: NOISY_HANDS }, work));
  const waiting = [...names];
  await hands(async () => {
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      await aPod('noisy', name, 'noisy-api', { node: NOWHERE });
      await setReady('noisy', name, true);
    }
  });
  const calm = await visibleAfterMs('calm');

  let quiet = false;
  let flaps = 0;
  const noise = hands(async () => {
    while (!quiet) {
      const flap = flaps++;
      await setReady('noisy', names[flap % NOISY_PODS] ?? '', Math.floor(flap / NOISY_PODS) % 2 === 1);
    }
  });
  // Each edit rewrites all of their keys.
  let edits = 0;
  const editing = (async () => {
    while (!quiet) {
      await stage.api.patch(`${registrationsPath('noisy')}/noisy-api`, { spec: { metadata: { edit: `${edits++}` } } });
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  })();
  const from = seenBy('open').mark();
  const noisy = await visibleAfterMs('noisy').finally(() => {
    quiet = true;
  });
  await Promise.all([noise, editing]);
  const written = seenBy('open').messages.slice(from).length;
  const figures = (took: readonly number[]) => `${took[QUIET_PODS / 2]} ms in the middle, ${took.at(-1)} ms at most`;
  process.stdout.write(
    `Ready to visible in a quiet namespace: ${figures(calm)}; beside ${flaps} flaps, ${edits} edits and ${written} writes ${figures(noisy)}\n`,
  );
  expect(written).toBeGreaterThan(NOISY_PODS);
  expect(noisy.at(-1)).toBeLessThan(VISIBLE_MS);
}, 180_000);

test('nothing was written that should not be, and nobody crashed', () => {
  for (const observer of observers.values()) expect(breaches(observer)).toEqual([]);
  for (const operator of operators) expect(operator.crashes()).toEqual([]);
});
