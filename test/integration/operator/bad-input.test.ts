// Everything wrong at once, through annotations, resources, pods and the bucket, on a real API server and a real
// nats-server: each case ends as accepted and right or as refused with its reason, and nobody else notices. One control
// plane; all cases are put in place first and judged together. Without controllers: nothing but the test changes a thing.

import { jetstream } from '@nats-io/jetstream';
import { headers } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ApiError } from '../../../hack/control-plane/api-client.ts';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import { type AnnotationName, WRONG_DEFAULTS, WRONG_FIELDS } from '../../support/bad-input.ts';
import type { OperatorProcess } from '../../support/operator-process.ts';
import type { Sighting, StreamObserver } from '../../support/stream-observer.ts';
import { breaches, lapses, PLANTED } from '../../support/stream-verdicts.ts';
import {
  type Case,
  heir,
  LEFT,
  type Left,
  NAMED,
  NAMESPACE,
  OPERATOR_ID,
  objectsOf,
  owner,
  POD_WISHES,
  PODS,
  SPECS,
  titled,
  WISHES,
  WORKLOADS,
} from './bad-input-cases.ts';
import { createPod, createRegistration, createWorkload, type Pod, podsPath, REGISTER } from './objects.ts';
import { BUCKET, type EventObject, type Registration, registrationsPath, START_MS, Stage } from './stage.ts';

/** Of namespaces and services, with a number. */
const DEFAULTS = 'defaults';
const NODE = 'node-0';
/** No KWOK plays pods there: their status is what the test says. */
const NOWHERE = 'nowhere';
/** Some three hundred Events are told, at most twenty a second. */
const SETTLE_MS = 180_000;

let stage: Stage;
let observer: StreamObserver;
let operator: OperatorProcess;
let registrations = new Map<string, Registration>();
/** What Events say is wrong, by the object's name. */
let complaints = new Map<string, string>();
const uids = new Map<string, string>();
let quietKey: string;

const ours = (key: string): readonly Sighting[] =>
  observer.history(key).filter(({ headers: h, operation }) => operation === 'PUT' && h[PLANTED] === undefined);
const liveOf = (pod: string): readonly Sighting[] =>
  [...observer.live.values()].filter(({ podUid, headers: h }) => podUid === uids.get(pod) && h[PLANTED] === undefined);
const valueOf = (pod: string, service: string) =>
  liveOf(pod).find(({ value }) => value?.serviceName === service)?.value;
const usersOf = (metadata: Readonly<Record<string, unknown>> = {}) => {
  const { start_time: _t, namespace: _ns, pod: _p, node: _n, ip: _i, port: _po, sourceVersion: _s, ...rest } = metadata;
  return rest;
};

const aPod = async (name: string, options: Parameters<typeof createPod>[3]): Promise<Pod> => {
  const pod = await createPod(stage.api, NAMESPACE, name, { node: NODE, port: 'http', ...options });
  uids.set(name, pod.metadata.uid);
  return pod;
};

const setStatus = (name: string, status: object): Promise<unknown> =>
  stage.api.patch(`${podsPath(NAMESPACE)}/${name}/status`, { status });
const READY = { phase: 'Running', podIP: '127.9.9.9', conditions: [{ type: 'Ready', status: 'True' }] };

/** Writes to a key as anybody with the right to may. */
const plant = async (key: string, body: string, extra: Readonly<Record<string, string>> = {}): Promise<void> => {
  const all = headers();
  for (const [name, value] of Object.entries({ ...extra, [PLANTED]: 'yes' })) all.set(name, value);
  await jetstream(observer.connection).publish(`$KV.${BUCKET}.${key}`, body, { headers: all });
};

/** Keys of pods that never were: nothing of the bytes may come out again in a value of ours. */
const ORPHAN = 'service-instances.orphan-service.orphan-1';

beforeAll(async () => {
  stage = await Stage.open({ controlPlane: { controllerManager: false, scheduler: false } });
  operator = await stage.startOperator({ args: [`--operator-id=${OPERATOR_ID}`], await: 'readyz' });
  observer = await stage.observe();
  await stage.cluster.createNamespace(NAMESPACE);
  const { api } = stage;
  const create = (name: string, spec: object) => createRegistration(api, NAMESPACE, name, spec);
  const choose = (app: string) => ({ selector: { matchLabels: { app } } });

  await create('quiet-service', choose('quiet'));
  const quiet = await aPod('quiet', { labels: { app: 'quiet' } });
  quietKey = (await observer.until('the quiet key', ({ podUid }) => podUid === quiet.metadata.uid)).key ?? '';

  await create('pods-service', {
    ...choose('pods'),
    version: { value: '9.9.9' },
    port: 7777,
    metadata: { team: 'resource', zone: 'z' },
  });
  await Promise.all(
    Array.from(objectsOf([...WORKLOADS, ...WISHES], REGISTER), ([name, annotations]) =>
      createWorkload(api, NAMESPACE, name, { replicas: 0, annotations }),
    ),
  );
  await Promise.all([
    ...Array.from(objectsOf([...PODS, ...POD_WISHES]), ([name, annotations]) =>
      aPod(name, { labels: { app: 'pods' }, annotations }),
    ),
    ...Array.from(objectsOf(NAMED, REGISTER), ([name, annotations]) => aPod(name, { labels: {}, annotations })),
    aPod('target', { labels: { app: 'target' } }),
    ...SPECS.map(({ object, annotation, written: { text, means } }) => {
      const port = /^\d+$/.test(text) ? Number(text) : text;
      const fields = {
        version: { version: { value: text } },
        port: { port },
        metadata: { metadata: means },
        ttl: { ttlSeconds: means },
      };
      return create(object, { ...choose('target'), ...fields[annotation as keyof typeof fields] });
    }),
  ]);

  // Pods whose status the test writes itself.
  await create('odd-service', choose('odd'));
  for (const name of ['no-ip', 'no-status', 'succeeded', 'failed-ready', 'host-network', 'no-times'])
    await aPod(name, { labels: { app: 'odd' }, node: NOWHERE, hostNetwork: name === 'host-network' });
  await setStatus('no-ip', { ...READY, podIP: null });
  await setStatus('succeeded', { ...READY, phase: 'Succeeded' });
  await setStatus('failed-ready', { ...READY, phase: 'Failed' });
  await setStatus('host-network', { ...READY, podIP: '127.168.0.1' });
  await setStatus('no-times', { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] });

  await create('nobody-service', { selector: { matchLabels: { app: 'nobody' } } });
  await create('shared-a', { ...choose('shared'), serviceName: 'shared-service' });
  await create('shared-b', { ...choose('shared'), serviceName: 'shared-service' });
  await aPod('shared', {
    labels: { app: 'shared' },
    annotations: { ...REGISTER, 'rollcall.dev/service-name': 'shared-service' },
  });

  await Promise.all(
    WRONG_DEFAULTS.map(async (text, index) => {
      const namespace = `${DEFAULTS}-${index}`;
      await stage.cluster.createNamespace(namespace, { annotations: { 'rollcall.dev/defaults': text } });
      await createRegistration(api, namespace, `${DEFAULTS}-${index}`, { selector: {} });
      await createPod(api, namespace, 'pod', { node: NODE });
    }),
  );

  // What lies in the bucket when the pods come.
  for (const [name, { body, headers: extra }] of Object.entries(LEFT)) {
    const pod = await aPod(`left-${name}`, { labels: { app: `left-${name}` }, node: NOWHERE });
    await plant(`service-instances.left-${name}.left-${name}`, body, extra?.(`left-${name}`, pod.metadata.uid));
    await create(`left-${name}`, { ...choose(`left-${name}`), instanceId: 'PodName' });
    await setStatus(`left-${name}`, READY);
  }
  await plant(ORPHAN, heir, { 'Rollcall-Owner': owner('orphan', 'u-1'), 'Rollcall-Schema': '1', 'Nats-TTL': '600' });
  for (const key of [
    'service-instances.*.x',
    'service-instances.>',
    'service-instances.a.b.c',
    'service-instances',
    'Ωmega',
  ])
    await plant(key, 'anything');

  await settled();
}, START_MS);

afterAll(() => stage?.close());

const isWrong = ({ written }: Case): boolean => written.means === undefined;
const complaintOf = (annotation: string): RegExp => new RegExp(`(^|[."] )${annotation} must `);

/** Waits until every expected complaint and key is there, and takes the picture that the tests look at. */
const settled = async (): Promise<void> => {
  const wrong = [...WORKLOADS, ...WISHES, ...PODS, ...POD_WISHES, ...NAMED].filter(isWrong);
  const pods = [...PODS, ...NAMED, ...POD_WISHES.filter(({ written }) => written.means !== false)];
  const resources = [...WORKLOADS, ...WISHES.filter(({ written }) => written.means === true)];
  await waitFor(
    'everything to be judged',
    async () => {
      const events = await stage.api.list<EventObject>(`/apis/events.k8s.io/v1/namespaces/${NAMESPACE}/events`);
      complaints = new Map();
      for (const { reason, regarding, note = '', type } of events) {
        if (reason !== 'InvalidAnnotation' || type !== 'Warning') continue;
        complaints.set(regarding.name, `${complaints.get(regarding.name) ?? ''}. ${note}`);
      }
      const listed = await stage.api.list<Registration>(registrationsPath(NAMESPACE));
      registrations = new Map(listed.map((registration) => [registration.metadata.name, registration]));
      return (
        wrong.every(({ object, annotation }) => complaintOf(annotation).test(complaints.get(object) ?? '')) &&
        pods.every(({ object }) => liveOf(object).length > 0) &&
        liveOf('target').length === SPECS.length &&
        resources.every(({ object }) => registrations.has(object))
      );
    },
    { deadlineMs: SETTLE_MS, intervalMs: 500 },
  ).catch(() => undefined);
};

const judgeComplaint = (some: Case): void => {
  const told = complaints.get(some.object) ?? '';
  if (isWrong(some)) expect(told).toMatch(complaintOf(some.annotation));
  else expect(told).not.toMatch(complaintOf(some.annotation));
};

describe('on a workload', () => {
  const fields: Readonly<Record<Exclude<AnnotationName, 'version'>, string>> = {
    ttl: 'ttlSeconds',
    'refresh-interval': 'refreshIntervalSeconds',
    'instance-id': 'instanceId',
    'when-not-ready': 'whenNotReady',
    port: 'port',
    metadata: 'metadata',
  };

  test.each(titled(WORKLOADS))('%s', (_, some) => {
    const { object, annotation, written } = some;
    const tooLong = annotation === 'refresh-interval' && Number(written.means) > 10;
    judgeComplaint(tooLong ? { ...some, written: { text: written.text } } : some);
    const spec = registrations.get(object)?.spec;
    expect(spec).toMatchObject({ serviceName: object });
    if (annotation === 'service-name') return;
    if (annotation === 'version') {
      // As it was written: what readers see of it is decided per pod.
      expect(spec?.['version']).toEqual(written.means === undefined ? undefined : { value: written.text.trim() });
      return;
    }
    const means = annotation === 'port' && written.text === 'http' ? 'http' : written.means;
    expect(spec?.[fields[annotation as keyof typeof fields]]).toEqual(tooLong ? undefined : means);
  });

  test.each(titled(WISHES))('%s', (_, some) => {
    judgeComplaint(some);
    expect(registrations.has(some.object)).toBe(some.written.means === true);
  });
});

describe('on a pod', () => {
  test.each(titled(PODS))('%s', (_, some) => {
    const { object, annotation, written } = some;
    judgeComplaint(some);
    const value = valueOf(object, 'pods-service');
    if (annotation === 'version') expect(value?.version).toBe(written.means ?? '9.9.9');
    if (annotation === 'port') expect(value?.metadata['port']).toBe(written.means ?? 7777);
    if (annotation !== 'metadata') return;
    expect(usersOf(value?.metadata)).toEqual({ team: 'resource', zone: 'z', ...(written.means as object | undefined) });
  });

  test.each(titled(POD_WISHES))('%s', (_, some) => {
    judgeComplaint(some);
    // One that asks for itself has a service of its own besides.
    expect(valueOf(some.object, 'pods-service') !== undefined).toBe(some.written.means !== false);
    expect(valueOf(some.object, some.object) !== undefined).toBe(some.written.means === true);
  });

  test.each(titled(NAMED))('%s', (_, some) => {
    judgeComplaint(some);
    const service = typeof some.written.means === 'string' ? some.written.means : some.object;
    const uid = uids.get(some.object) ?? '';
    expect(liveOf(some.object).map(({ key }) => key)).toEqual([
      `service-instances.${service}.${service}-${uid.slice(0, 8)}`,
    ]);
  });
});

test.each(WRONG_DEFAULTS.map((text, index) => [text, index] as const))(
  'in the defaults of a namespace: %s',
  async (_, index) => {
    const name = `${DEFAULTS}-${index}`;
    const { note } = await stage.untilEvent(name, `ServiceRegistration/${name}`, 'InvalidAnnotation', SETTLE_MS);
    expect(note).toContain('defaults');
    const [only] = await waitFor('the key', () => observer.ofService(name).length > 0 && observer.ofService(name));
    expect(only?.headers['Nats-TTL']).toBe('30');
    expect(usersOf(only?.value?.metadata)).toEqual({});
  },
  200_000,
);

describe('in a resource', () => {
  test.each(titled(SPECS))('%s', (_, { object, annotation, written: { means } }) => {
    const value = valueOf('target', object);
    if (annotation === 'version') expect(value?.version).toBe(means);
    if (annotation === 'port') expect(value?.metadata['port']).toBe(means);
    if (annotation === 'metadata') expect(usersOf(value?.metadata)).toEqual(means);
    if (annotation !== 'ttl') return;
    const written = liveOf('target').find((sighting) => sighting.value?.serviceName === object);
    expect(written?.headers['Nats-TTL']).toBe(String(means));
  });

  test('what is wrong is refused by the API server; what only the operator can count is InvalidSpec', async () => {
    const stored: string[] = [];
    for (const [index, [field, value]] of WRONG_FIELDS.entries()) {
      // The API server takes null for a field that is not there.
      if (value === null) continue;
      const name = `wrong-${index}`;
      const spec = { selector: { matchLabels: { app: 'target' } }, [field]: value };
      const attempt = createRegistration(stage.api, NAMESPACE, name, spec);
      const refused = await attempt.then(
        () => stored.push(name) === 0,
        (error: unknown) => error instanceof ApiError && error.status === 422,
      );
      if (!refused) expect(stored).toContain(name);
    }
    for (const name of stored) {
      const { message } = await stage.untilCondition(NAMESPACE, name, 'Ready', 'InvalidSpec');
      const [field = ''] = WRONG_FIELDS[Number(name.split('-')[1])] ?? [];
      expect(message).toContain(`spec.${field}`);
      expect(observer.ofService(name)).toEqual([]);
    }
    expect(stored).toHaveLength(1);
  }, 60_000);
});

describe('a pod', () => {
  test('without an address has none in its value; on the host network it has the node’s', () => {
    expect(valueOf('no-ip', 'odd-service')?.metadata).toMatchObject({ pod: 'no-ip', node: NOWHERE });
    expect(valueOf('no-ip', 'odd-service')?.metadata).not.toHaveProperty('ip');
    expect(valueOf('host-network', 'odd-service')?.metadata['ip']).toBe('127.168.0.1');
  });

  test('without status, Succeeded or Failed has no key, Ready or not', () => {
    for (const name of ['no-status', 'succeeded', 'failed-ready']) expect(liveOf(name), name).toEqual([]);
  });

  test('without times counts from its creation', () => {
    expect(valueOf('no-times', 'odd-service')?.metadata['start_time']).toMatch(/\+08:00$/);
  });

  test('under two resources and an annotation of one service has one key, and the younger resource says so', async () => {
    expect(liveOf('shared')).toHaveLength(1);
    const conflict = await stage.untilCondition(NAMESPACE, 'shared-b', 'Conflict', 'SelectedTwice');
    expect(conflict.message).toContain('shared-a');
    await stage.untilCondition(NAMESPACE, 'shared-a', 'Ready', 'Registered');
  });

  test('that nobody has leaves a resource without pods, which says so', async () => {
    await stage.untilCondition(NAMESPACE, 'nobody-service', 'Ready', 'NoPodsSelected');
  });
});

const judgeLeft = async (name: string, { becomes, body }: Left): Promise<void> => {
  const service = `left-${name}`;
  const key = `service-instances.${service}.${service}`;
  if (becomes === 'foreign') {
    const { message } = await stage.untilCondition(NAMESPACE, service, 'Conflict', 'HeldByAnother');
    expect(message).toContain(key);
    expect(ours(key)).toEqual([]);
    expect(observer.live.get(key)?.body).toBe(body);
    return;
  }
  await stage.untilCondition(NAMESPACE, service, 'Ready', 'Registered');
  expect(ours(key).at(-1)?.value).toMatchObject({ serviceName: service, version: '1.4.2', status: 'ACTIVE' });
};

describe('bytes in the bucket', () => {
  test.each(Object.entries(LEFT))('%s', judgeLeft, 30_000);
});

test('a new leader reads all of it back, and then everything stands as before', async () => {
  const from = observer.mark();
  await operator.process.kill('SIGKILL');
  const next = await stage.startOperator({ args: [`--operator-id=${OPERATOR_ID}`], await: 'readyz' });
  await observer.until(
    'a write of the new leader',
    ({ key, headers: h }) => key === quietKey && h[PLANTED] === undefined,
    {
      from,
      deadlineMs: 30_000,
    },
  );
  for (const [name, left] of Object.entries(LEFT)) await judgeLeft(name, left);
  const known = new Set(uids.values());
  // A TTL below 15 s may end before a new leader is there, and its resource says so.
  const short = new Set(observer.messages.filter(({ headers: h }) => Number(h['Nats-TTL']) < 15).map(({ key }) => key));
  const lapsed = lapses(observer, (uid) => known.has(uid)).filter(({ key }) => !short.has(key));
  expect(lapsed.map(({ sentence }) => sentence)).toEqual([]);
  expect(ours(ORPHAN)).toEqual([]);
  for (const process of [operator, next]) {
    expect(process.crashes()).toEqual([]);
    expect(process.log().filter(({ msg }) => msg.includes('disconnected'))).toEqual([]);
  }
  expect(next.process.running).toBe(true);
}, 90_000);

test('nobody else noticed: no other subject, no unreadable value, and the quiet key only refreshed', () => {
  expect(breaches(observer)).toEqual([]);
  const [first, ...rest] = ours(quietKey);
  expect(first?.headers['Rollcall-Reason']).toBe('Registered');
  const without = (sighting: Sighting | undefined) => ({ ...sighting?.value, lastHeartbeat: '' });
  for (const refresh of rest) {
    expect(refresh.headers['Rollcall-Reason']).toBe('Refresh');
    expect(without(refresh)).toEqual(without(first));
  }
  expect(rest.length).toBeGreaterThan(0);
});
