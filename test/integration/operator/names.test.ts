// Who may use a service name, on a real API server: the first come, policies and their definition, quotas. All cases
// share one control plane without controllers, so that nothing changes but what a test changes.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ApiError } from '../../../hack/control-plane/api-client.ts';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import type { OperatorProcess } from '../../support/operator-process.ts';
import type { Sighting, StreamObserver } from '../../support/stream-observer.ts';
import { breaches, lapses } from '../../support/stream-verdicts.ts';
import { createPod, createRegistration, deletePod, type Pod, REGISTER } from './objects.ts';
import { POLICIES, POLICY_CRD_NAME, registrationsPath, START_MS, Stage } from './stage.ts';

const QUOTA_INSTANCES = 3;
const QUOTA_SERVICES = 2;

let stage: Stage;
let observer: StreamObserver;
let operator: OperatorProcess;

beforeAll(async () => {
  stage = await Stage.open({ controlPlane: { controllerManager: false, scheduler: false } });
  operator = await stage.startOperator({
    await: 'readyz',
    args: [`--quota-instances=${QUOTA_INSTANCES}`, `--quota-services=${QUOTA_SERVICES}`],
  });
  observer = await stage.observe();
}, START_MS);

afterAll(() => stage?.close());

const aNamespace = (name: string, labels: Readonly<Record<string, string>> = {}) =>
  stage.cluster.createNamespace(name, { labels });

const aPod = (namespace: string, name: string, app: string, annotations = {}): Promise<Pod> =>
  createPod(stage.api, namespace, name, { labels: { app }, node: 'node-0', annotations });

const aService = (namespace: string, name: string) =>
  createRegistration(stage.api, namespace, name, {
    selector: { matchLabels: { app: name } },
    ttlSeconds: 6,
    refreshIntervalSeconds: 2,
  });

const aPolicy = (name: string, spec: object) =>
  stage.api.post(POLICIES, {
    apiVersion: 'rollcall.dev/v1alpha1',
    kind: 'ServiceNamePolicy',
    metadata: { name },
    spec,
  });

const label = (namespace: string, labels: Readonly<Record<string, string | null>>) =>
  stage.api.patch(`/api/v1/namespaces/${namespace}`, { metadata: { labels } });

const podOf = ({ value }: Sighting): string =>
  `${String(value?.metadata['namespace'])}/${String(value?.metadata['pod'])}`;

/** The pods with an ACTIVE key under the service. */
const active = (service: string): readonly string[] =>
  observer
    .ofService(service)
    .filter(({ value }) => value?.status === 'ACTIVE')
    .map(podOf)
    .toSorted();

const untilActive = (service: string, pods: readonly string[]): Promise<unknown> =>
  waitFor(`the keys of ${service}`, () => active(service).join() === pods.toSorted().join(), {
    deadlineMs: 15_000,
  }).catch((error: unknown) => {
    throw new Error(`${service} has ${active(service).join()}`, { cause: error });
  });

/** No message for the service was ever of a pod of the namespace. */
const neverOf = (service: string, namespace: string): void =>
  expect(
    observer.messages.filter((one) => one.value?.serviceName === service && podOf(one).startsWith(`${namespace}/`)),
  ).toEqual([]);

const secondsPass = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test('the first namespace to ask for a name has it; when it lets go, the next one does', async () => {
  await aNamespace('first');
  await aNamespace('second');
  await aService('first', 'shared-service');
  await aPod('first', 'pod-a', 'shared-service');
  await untilActive('shared-service', ['first/pod-a']);
  // The API server's dates have seconds.
  await secondsPass(1_100);
  const from = observer.mark();
  await aService('second', 'shared-service');
  await aPod('second', 'pod-b', 'shared-service');
  const told = await stage.untilCondition('second', 'shared-service', 'Ready', 'NameDenied');
  expect(told).toMatchObject({ status: 'False' });
  expect(told.message).toContain('held by namespace first, whose ServiceRegistration first/shared-service');
  const event = await stage.untilEvent('second', 'ServiceRegistration/shared-service', 'NameDenied');
  expect(event).toMatchObject({ type: 'Warning', note: told.message });
  const listed = await stage.cluster.kubectlOk(['-n', 'second', 'get', 'sreg', 'shared-service']);
  expect(listed).toMatch(/shared-service +0\/0 .*NameDenied/);
  neverOf('shared-service', 'second');
  expect(lapses(observer, () => true, from)).toEqual([]);
  await stage.api.delete(`${registrationsPath('first')}/shared-service`);
  await untilActive('shared-service', ['second/pod-b']);
  await stage.untilCondition('second', 'shared-service', 'Ready', 'Registered');
});

test('an owned resource is denied like one by hand', async () => {
  await aNamespace('third');
  await aPod('third', 'pod-d', 'bare', { ...REGISTER, 'rollcall.dev/service-name': 'shared-service' });
  const told = await stage.untilCondition('third', 'shared-service', 'Ready', 'NameDenied');
  expect(told.message).toContain('held by namespace second');
  neverOf('shared-service', 'third');
});

describe('a policy', () => {
  test('takes a name from whom it does not grant it, and gives it to whom it does, as labels change', async () => {
    await aNamespace('outsider');
    await aNamespace('insider', { team: 'payments' });
    await aService('outsider', 'guarded-api');
    await aPod('outsider', 'pod-o', 'guarded-api');
    await untilActive('guarded-api', ['outsider/pod-o']);
    await secondsPass(1_100);
    await aService('insider', 'guarded-api');
    await aPod('insider', 'pod-i', 'guarded-api');
    await stage.untilCondition('insider', 'guarded-api', 'Ready', 'NameDenied');
    const from = observer.mark();
    await aPolicy('payments', { names: ['guarded-*'], namespaces: { matchLabels: { team: 'payments' } } });
    await untilActive('guarded-api', ['insider/pod-i']);
    // Denied later: as not Ready, by its whenNotReady.
    const farewell = observer.messages.slice(from).find((one) => podOf(one) === 'outsider/pod-o');
    expect(farewell?.value?.status).toBe('UNHEALTHY');
    const told = await stage.untilCondition('outsider', 'guarded-api', 'Ready', 'NameDenied');
    expect(told.message).toContain('ServiceNamePolicy payments selects, and outsider is none of them');
    await stage.untilCondition('insider', 'guarded-api', 'Ready', 'Registered');
    await stage.untilEvent('outsider', 'ServiceRegistration/guarded-api', 'NameDenied');
    // Both may share it.
    await label('outsider', { team: 'payments' });
    await untilActive('guarded-api', ['insider/pod-i', 'outsider/pod-o']);
    await label('insider', { team: null });
    await untilActive('guarded-api', ['outsider/pod-o']);
  });

  test('shows in kubectl what it grants to whom', async () => {
    const listed = await stage.cluster.kubectlOk(['get', 'snp']);
    expect(listed).toMatch(/^NAME +NAMES +NAMESPACES +AGE/);
    expect(listed).toMatch(/payments +\["guarded-\*"\] +\{"matchLabels":\{"team":"payments"\}\}/);
  });

  test.each<[string, object, RegExp]>([
    ['no spec of names', { namespaces: {} }, /spec\.names: Required value/],
    ['no namespaces', { names: ['a-service'] }, /spec\.namespaces: Required value/],
    ['no name at all', { names: [], namespaces: {} }, /spec\.names.*should have at least 1 items/],
    ['a star within', { names: ['a-*-service'], namespaces: {} }, /spec\.names\[0\].*should match/],
    ['upper case', { names: ['Payments-*'], namespaces: {} }, /spec\.names\[0\].*should match/],
    ['a double hyphen', { names: ['a--b'], namespaces: {} }, /spec\.names.*no service name contains "--"/],
    ['a name twice', { names: ['a-service', 'a-service'], namespaces: {} }, /spec\.names\[1\]: Duplicate value/],
    [
      'a selector that cannot be',
      { names: ['a-service'], namespaces: { matchExpressions: [{ key: 'team', operator: 'In' }] } },
      /matchExpressions\[0\].*In and NotIn need values/,
    ],
  ])('with %s is refused', async (_, spec, message) => {
    const attempt = aPolicy('refused', spec);
    await expect(attempt).rejects.toThrow(message);
    await expect(attempt).rejects.toMatchObject({ status: 422 } satisfies Partial<ApiError>);
  });

  test.each<[string, object]>([
    ['all names', { names: ['*'], namespaces: {} }],
    ['expressions', { names: ['x-*', 'abc'], namespaces: { matchExpressions: [{ key: 'team', operator: 'Exists' }] } }],
  ])('for %s is accepted', async (_, spec) => {
    await expect(
      stage.api.post(`${POLICIES}?dryRun=All`, {
        apiVersion: 'rollcall.dev/v1alpha1',
        kind: 'ServiceNamePolicy',
        metadata: { name: 'accepted' },
        spec,
      }),
    ).resolves.toMatchObject({ spec });
  });
});

describe('over a quota', () => {
  test('the oldest instances stay; when one goes, the next one comes', async () => {
    await aNamespace('crowded');
    await aService('crowded', 'crowded-service');
    const oldest: Pod[] = [];
    for (let i = 0; i < QUOTA_INSTANCES; i += 1) oldest.push(await aPod('crowded', `old-${i}`, 'crowded-service'));
    const old = oldest.map(({ metadata }) => `crowded/${metadata.name}`);
    await untilActive('crowded-service', old);
    await secondsPass(1_100);
    await aPod('crowded', 'young', 'crowded-service');
    const told = await stage.untilCondition('crowded', 'crowded-service', 'Ready', 'QuotaExceeded');
    expect(told.message).toContain('3 of 4 Ready pods registered; 1 not');
    expect(told.message).toContain('its quota of 3 instances (--quota-instances)');
    const { status } = (await stage.registration('crowded', 'crowded-service')) ?? {};
    expect(status?.details[0]).toMatchObject({ pod: 'young', status: 'Pending', reason: 'QuotaExceeded' });
    expect(status?.instances).toMatchObject({ selected: 4, registered: 3, pending: 1 });
    await stage.untilEvent('crowded', 'ServiceRegistration/crowded-service', 'QuotaExceeded');
    await stage.untilEvent('crowded', 'Pod/young', 'QuotaExceeded');
    expect(active('crowded-service')).toEqual(old);
    expect(observer.messages.filter((one) => podOf(one) === 'crowded/young')).toEqual([]);
    const [first] = oldest;
    if (first !== undefined) await deletePod(stage.api, first);
    await untilActive('crowded-service', ['crowded/old-1', 'crowded/old-2', 'crowded/young']);
    await stage.untilCondition('crowded', 'crowded-service', 'Ready', 'Registered');
  });

  test('the oldest services stay', async () => {
    await aNamespace('manifold');
    for (const name of ['one-service', 'two-service', 'three-service']) {
      await aService('manifold', name);
      await aPod('manifold', `pod-of-${name}`, name);
      await secondsPass(1_100);
    }
    const told = await stage.untilCondition('manifold', 'three-service', 'Ready', 'QuotaExceeded');
    expect(told.message).toContain('its quota of 2 (--quota-services)');
    await stage.untilEvent('manifold', 'ServiceRegistration/three-service', 'QuotaExceeded');
    await untilActive('two-service', ['manifold/pod-of-two-service']);
    neverOf('three-service', 'manifold');
    await stage.api.delete(`${registrationsPath('manifold')}/one-service`);
    await untilActive('three-service', ['manifold/pod-of-three-service']);
    await stage.untilCondition('manifold', 'three-service', 'Ready', 'Registered');
  });
});

test('without the definition of policies the operator lives, says so once, and the first come have their names', async () => {
  const from = observer.mark();
  const standing = new Set(
    [...observer.live.values()].flatMap(({ value, podUid }) => (value?.status === 'ACTIVE' ? podUid : [])),
  );
  await stage.removeCrd(POLICY_CRD_NAME);
  // Outsider's resource is the older one; insider's waits for the policy to be believed gone.
  await untilActive('guarded-api', ['outsider/pod-o']);
  const said = () =>
    operator.log().filter(({ msg, path }) => msg.includes('no such resource') && path === POLICIES).length;
  await waitFor('the operator to say so', () => said() === 1 || undefined, { deadlineMs: 30_000 });
  await waitFor('the holder to be named', async () => {
    const told = await stage.untilCondition('insider', 'guarded-api', 'Ready', 'NameDenied');
    return told.message.includes('held by namespace outsider') || undefined;
  });
  expect((await operator.readyz()).status).toBe(200);
  expect(said()).toBe(1);
  expect(lapses(observer, (uid) => standing.has(uid), from)).toEqual([]);
  expect(breaches(observer)).toEqual([]);
  expect(operator.crashes()).toEqual([]);
}, 60_000);
