// What a person sees with kubectl: every situation that a ServiceRegistration can be in says its reason in a condition and,
// where something happened, as an Event on the resource and on the pod or workload that is meant. Nothing is written
// without a change. All situations share one control plane; those that break something come one after the other.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { jetstreamManager, type StreamConfig } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KubeObject } from '../../../hack/control-plane/api-client.ts';
import { startNats } from '../../../hack/control-plane/nats.ts';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import type { OperatorProcess } from '../../support/operator-process.ts';
import { laterWords, listedWords } from '../../support/reason-list.ts';
import { expectShown, SHOWN_WITH_LIMITS } from './kubectl-shows.ts';
import {
  createPod,
  createRegistration,
  createWorkload,
  deletePod,
  type Pod,
  podsPath,
  REGISTER,
  setReady,
} from './objects.ts';
import { BUCKET, type EventObject, type Registration, registrationsPath, START_MS, Stage } from './stage.ts';

const NAMESPACE = 'told';
/** It comes to the other's service names, and to more services than its quota. */
const GREEDY = 'greedy';
const QUOTA_SERVICES = 25;
const CLUSTER_ROLE = '/apis/rbac.authorization.k8s.io/v1/clusterroles/rollcall';
/** More than the brake lets go at once. */
const MANY = 25;

let stage: Stage;
let operator: OperatorProcess;
let nats: NatsConnection;

beforeAll(async () => {
  stage = await Stage.open();
  operator = await stage.startOperator({ await: 'readyz', args: [`--quota-services=${QUOTA_SERVICES}`] });
  await stage.observe();
  nats = await connect({ servers: stage.nats.url, maxReconnectAttempts: -1, reconnectTimeWait: 100 });
  await stage.cluster.createNamespace(NAMESPACE);
  await stage.cluster.createNamespace(GREEDY);
}, START_MS);

afterAll(async () => {
  await nats?.close();
  await stage?.close();
});

/** A resource that selects the pods labelled with its name. */
const register = (name: string, spec: object = {}) =>
  createRegistration(stage.api, NAMESPACE, name, { selector: { matchLabels: { app: name } }, ...spec });
const pod = (name: string, options: Parameters<typeof createPod>[3] = {}) =>
  createPod(stage.api, NAMESPACE, name, options);
/** Reasons that kubectl was seen to show, as in the closed list: `Ready True Registered`. */
const shown = new Set<string>();
/** Waits for the reason, and looks at it as people do when it is the first time. It must last for a moment. */
const until = async (name: string, type: string, reason: string, deadlineMs?: number, namespace = NAMESPACE) => {
  const told = await stage.untilCondition(namespace, name, type, reason, deadlineMs);
  const word = `${type} ${told.status} ${reason}`;
  if (shown.has(word)) return told;
  await expectShown(stage, namespace, name, told);
  shown.add(word);
  return told;
};
const untilEvent = (regarding: string, reason: string) => stage.untilEvent(NAMESPACE, regarding, reason, 20_000);
const kubectl = (...args: string[]) => stage.cluster.kubectlOk(['-n', NAMESPACE, ...args]);
const changeBucket = async (change: Partial<StreamConfig>): Promise<void> => {
  const manager = await jetstreamManager(nats);
  await manager.streams.update(`KV_${BUCKET}`, change);
};

describe('what a resource says by itself', () => {
  beforeAll(async () => {
    // Before the pod that names this service: else that would get a resource of this name.
    await register('picky-service');
    const notReady = { 'rollcall.dev/demo-ready': 'false' };
    await Promise.all([
      register('good-service'),
      pod('good-service'),
      register('empty-service'),
      register('waiting-service'),
      pod('waiting-service', { annotations: notReady }),
      register('resting-service', { suspend: true }),
      pod('resting-service'),
      // A third of the installation's TTL, which the API server does not know, is 10 s.
      register('wrong-service', { refreshIntervalSeconds: 11 }),
      register('slow-service', { ttlSeconds: 120, refreshIntervalSeconds: 31 }),
      register('short-service', { ttlSeconds: 6 }),
      pod('short-service'),
      register('noted-service'),
      pod('noted-service', { image: 'registry.invalid/app:v1.2' }),
      register('twice-service'),
      pod('twice-service'),
      register('taken-service', { instanceId: 'PodName' }),
      nats.request(`$KV.${BUCKET}.service-instances.taken-service.taken-service`, 'theirs', { timeout: 5_000 }),
      pod('taken-service'),
      ...Array.from({ length: QUOTA_SERVICES - 1 }, (_, i) => createRegistration(stage.api, GREEDY, `service-${i}`)),
      register('same-service', { instanceId: 'PodName' }),
      pod('same.pod', { labels: { app: 'same-service' } }),
      pod('stray', { annotations: { ...REGISTER, 'rollcall.dev/service-name': 'picky-service' } }),
      createWorkload(stage.api, NAMESPACE, 'typo-service', {
        annotations: { ...REGISTER, 'rollcall.dev/ttl': '1.5s' },
      }),
    ]);
    // The younger ones, by more than the second that creation is told in.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await createRegistration(stage.api, NAMESPACE, 'twice-again', {
      serviceName: 'twice-service',
      selector: { matchLabels: { app: 'twice-service' } },
    });
    await pod('same-pod', { labels: { app: 'same-service' } });
    await createRegistration(stage.api, GREEDY, 'good-service');
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await createRegistration(stage.api, GREEDY, 'last-service');
    await createWorkload(stage.api, NAMESPACE, 'left-service', {
      annotations: { ...REGISTER, 'rollcall.dev/service-name': 'picky-service' },
    });
  }, 30_000);

  test.each([
    ['good-service', 'Ready', 'True', 'Registered', /^All Ready pods are registered: 1\.$/],
    ['good-service', 'Conflict', 'False', 'NoConflict', /./],
    ['good-service', 'Degraded', 'False', 'AsExpected', /./],
    ['empty-service', 'Ready', 'False', 'NoPodsSelected', /selector selects no pod/],
    ['waiting-service', 'Ready', 'False', 'WaitingForPods', /None of the 1 selected pod is Ready/],
    ['resting-service', 'Ready', 'False', 'Suspended', /spec\.suspend/],
    ['wrong-service', 'Ready', 'False', 'InvalidSpec', /refreshIntervalSeconds: 11 is more than a third/],
    ['slow-service', 'Degraded', 'True', 'RefreshSlowerThanReaders', /31 s/],
    ['short-service', 'Degraded', 'True', 'TtlShorterThanHandover', /TTL of 6 s/],
    ['noted-service', 'Degraded', 'True', 'VersionNormalised', /v1\.2/],
    ['twice-again', 'Conflict', 'True', 'SelectedTwice', /older resource .*twice-service/],
    ['same-service', 'Conflict', 'True', 'SameInstanceId', /same-pod comes to the same instance id as .*same\.pod/],
    ['same-service', 'Ready', 'False', 'PartiallyRegistered', /1 of 2 Ready pods registered\. 1 key cannot be had/],
    ['taken-service', 'Ready', 'False', 'Conflict', /0 of 1 Ready pod registered\. 1 key cannot be had/],
    ['taken-service', 'Conflict', 'True', 'HeldByAnother', /service-instances\.taken-service\.taken-service of pod/],
  ])('%s: %s is %s, %s', async (name, type, status, reason, message) => {
    expect(await until(name, type, reason)).toMatchObject({ status, message: expect.stringMatching(message) });
  });

  test.each([
    ['good-service', 'NameDenied', /held by namespace told, whose ServiceRegistration told\/good-service/],
    ['last-service', 'QuotaExceeded', /its quota of 25 \(--quota-services\)/],
  ])('%s of another namespace: Ready is False, %s', async (name, reason, message) => {
    const told = await until(name, 'Ready', reason, undefined, GREEDY);
    expect(told).toMatchObject({ status: 'False', message: expect.stringMatching(message) });
  });

  test.each([
    ['ServiceRegistration/good-service', 'Registered', /is ACTIVE, version 1\.4\.2/],
    ['Pod/good-service', 'Registered', /is ACTIVE/],
    ['ServiceRegistration/noted-service', 'VersionNormalised', /v1\.2/],
    ['ServiceRegistration/twice-again', 'Conflict', /selected for the same service/],
    ['ServiceRegistration/same-service', 'Conflict', /same instance id/],
    ['Pod/same-pod', 'Conflict', /same instance id/],
    ['Pod/twice-service', 'Conflict', /older resource .*twice-service, which counts.*twice-again has no key/],
    ['Pod/stray', 'NotSelected', /picky-service registers service picky-service and does not select this pod/],
    ['Deployment/typo-service', 'InvalidAnnotation', /ttl.*1\.5s/],
    ['ServiceRegistration/typo-service', 'InvalidAnnotation', /ttl.*1\.5s/],
  ])('%s has the Event %s', async (regarding, reason, note) => {
    expect((await untilEvent(regarding, reason)).note).toMatch(note);
  });

  test('the pods of an annotated workload are told that a resource leaves them out', async () => {
    const [left] = await waitFor('the pod', async () => {
      const pods = await stage.api.list<Pod>(`${podsPath(NAMESPACE)}?labelSelector=app=left-service`);
      return pods.length === 1 && pods;
    });
    expect((await untilEvent(`Pod/${left?.metadata.name}`, 'NotSelected')).note).toMatch(/picky-service/);
  });

  test('kubectl waits for it, lists it and describes it', async () => {
    await kubectl('wait', '--for=condition=Ready', '--timeout=10s', 'sreg/good-service');
    const lines = (await kubectl('get', 'sreg', '-o', 'wide')).split('\n').map((line) => line.split(/ {2,}/));
    expect(lines[0]).toEqual(expect.arrayContaining(['NAME', 'SERVICE', 'READY', 'ACTIVE', 'TTL', 'STATUS', 'AGE']));
    expect(lines[0]).toContain('MESSAGE');
    const shown = lines.find(([name]) => name === 'good-service');
    expect(shown).toEqual(expect.arrayContaining(['1/1', '1', '30', 'Registered']));
    expect(shown?.at(-1)).toBe('All Ready pods are registered: 1.');
    const described = await kubectl('describe', 'sreg', 'good-service');
    expect(described).toMatch(/Reason: +Registered/);
    expect(described).toMatch(/Normal +Registered +\S+ +rollcall\.dev\/operator/);
  });

  test('a role that passes on, a pod that falls ill and a key that somebody purged are told', async () => {
    await register('sticky-service', { stickyActiveGroup: 'default' });
    const members = await Promise.all(
      ['sticky-a', 'sticky-b'].map((name) => pod(name, { labels: { app: 'sticky-service' } })),
    );
    const instance = (status: string) =>
      waitFor(`a member that is ${status}`, async () => {
        const { status: told } = (await stage.registration(NAMESPACE, 'sticky-service')) ?? {};
        return told?.ready === '2/2' && told.details.find((one) => one['status'] === status);
      });
    const { pod: holder } = await instance('ACTIVE');
    const { key = '' } = await instance('STANDBY');
    for (const one of members) if (one.metadata.name === holder) await setReady(stage.api, one, false);
    await untilEvent(`Pod/${holder}`, 'Unhealthy');
    await untilEvent('ServiceRegistration/sticky-service', 'RoleChanged');
    await (await new Kvm(nats).open(BUCKET)).purge(key);
    await untilEvent('ServiceRegistration/sticky-service', 'Lapsed');
  }, 60_000);

  test('refreshes write nothing to Kubernetes', async () => {
    /** The versions of all resources, and what the operator ever wrote. */
    const written = async () => {
      const all = await stage.api.list<Registration>(registrationsPath(NAMESPACE));
      const requests = ['PATCH', 'POST', 'DELETE'].map((method) =>
        operator.metric('rest_client_requests_total', `method="${method}"`),
      );
      return [
        ...all.map(({ metadata }) => `${metadata.name} ${metadata.resourceVersion}`),
        await Promise.all(requests),
      ];
    };
    const refreshes = () => operator.metric('rollcall_writes_total', 'reason="Refresh"');
    await waitFor(
      'three refreshes between which nothing was written',
      async () => {
        const [before, from] = [await written(), await refreshes()];
        // At the TTL of 6 s one key is refreshed every 2 s.
        await waitFor('three refreshes', async () => (await refreshes()) >= from + 3, { deadlineMs: 30_000 });
        return JSON.stringify(await written()) === JSON.stringify(before);
      },
      { deadlineMs: 60_000 },
    );
  }, 120_000);
});

describe('what the registry brings about', () => {
  test('a key on its way is Registering; a registry away is told by condition and Event, and so is its return', async () => {
    stage.nats.process.pause();
    await stage.api.patch(`${registrationsPath(NAMESPACE)}/resting-service`, { spec: { suspend: false } });
    await stage.untilCondition(NAMESPACE, 'resting-service', 'Ready', 'Registering');
    // It lasts until the registry counts as away: long enough for a look only if nobody goes on.
    operator.process.pause();
    await until('resting-service', 'Ready', 'Registering');
    operator.process.resume();
    const told = await until('good-service', 'Ready', 'RegistryUnavailable', 30_000);
    expect(told.status).toBe('False');
    expect((await untilEvent('ServiceRegistration/good-service', 'RegistryUnavailable')).type).toBe('Warning');
    stage.nats.process.resume();
    await until('good-service', 'Ready', 'Registered', 30_000);
    expect((await untilEvent('ServiceRegistration/good-service', 'Recovered')).note).toMatch(/can be written again/);
    await until('resting-service', 'Ready', 'Registered');
  }, 120_000);

  test('a full bucket is told, and its relief is', async () => {
    await changeBucket({ max_bytes: 1 });
    await until('good-service', 'Ready', 'RegistryFull', 30_000);
    await changeBucket({ max_bytes: -1 });
    await until('good-service', 'Ready', 'Registered', 30_000);
  }, 90_000);

  test('a bucket that shortens the TTL is told, with the TTL that is left', async () => {
    await changeBucket({ max_age: 20 * 1e9, duplicate_window: 20 * 1e9 });
    const told = await until('good-service', 'Degraded', 'TtlShortenedByBucket', 30_000);
    expect(told.message).toMatch(/max_age of 20 s .* TTL of 30 s/);
    expect((await stage.registration(NAMESPACE, 'good-service'))?.status?.effective).toMatchObject({ ttlSeconds: 20 });
    await changeBucket({ max_age: 0 });
    await until('good-service', 'Degraded', 'AsExpected', 30_000);
  }, 90_000);
});

describe('what Kubernetes brings about', () => {
  test('a view that nobody proves any more is said to be stale, and no more than that', async () => {
    const role = await stage.api.get<KubeObject & { readonly rules: readonly { readonly resources: string[] }[] }>(
      CLUSTER_ROLE,
    );
    const rules = role.rules.map((rule) => ({ ...rule, resources: rule.resources.filter((name) => name !== 'pods') }));
    await stage.api.patch(CLUSTER_ROLE, { rules });
    const told = await until('good-service', 'Ready', 'ViewStale', 90_000);
    expect(told.status).toBe('Unknown');
    await stage.api.patch(CLUSTER_ROLE, { rules: role.rules });
    await until('good-service', 'Ready', 'Registered', 60_000);
  }, 180_000);

  test('so many pods that are gone at once are held, and that is told', async () => {
    await register('many-service');
    const names = Array.from({ length: MANY }, (_, i) => `many-${i}`);
    const pods = await Promise.all(names.map((name) => pod(name, { labels: { app: 'many-service' } })));
    await waitFor(
      'their keys',
      async () => (await stage.registration(NAMESPACE, 'many-service'))?.status?.ready === `${MANY}/${MANY}`,
      { deadlineMs: 30_000 },
    );
    await operator.process.kill('SIGKILL');
    await Promise.all(pods.map((gone) => deletePod(stage.api, gone)));
    await waitFor('the pods to be gone', async () => {
      return (await stage.api.list<Pod>(`${podsPath(NAMESPACE)}?labelSelector=app=many-service`)).length === 0;
    });
    await operator.process.restart();
    await until('good-service', 'Degraded', 'Holding', 30_000);
    expect((await untilEvent('ServiceRegistration/good-service', 'MassLapseHeld')).type).toBe('Warning');
  }, 120_000);
});

test('a server that can expire nothing is told by its version', async () => {
  await operator.process.kill('SIGTERM');
  const server = await startNats({ dir: stage.dir, name: 'old', binary: 'old' });
  try {
    const refused = await stage.startOperator({ natsUrl: server.url, args: ['--operator-id=outdated'] });
    expect((await until('good-service', 'Ready', 'RegistryUnsupported', 30_000)).message).toMatch(
      /2\.10\.\d+.*2\.12\.1/,
    );
    await refused.process.kill('SIGTERM');
  } finally {
    await server.stop();
  }
}, 90_000);

test('a right in NATS that is missing is told with its subject', async () => {
  await operator.process.kill('SIGTERM');
  const configFile = join(stage.dir, 'rights.conf');
  const password = join(stage.dir, 'word');
  await writeFile(
    configFile,
    'authorization: { users: [ { user: op, password: word, permissions: { publish: { deny: "$KV.>" } } } ] }\n',
  );
  await writeFile(password, 'word\n');
  const server = await startNats({ dir: stage.dir, name: 'rights', configFile });
  try {
    const args = ['--nats-user=op', `--nats-password-file=${password}`, '--operator-id=unfortunate'];
    const denied = await stage.startOperator({ natsUrl: server.url, args });
    const told = await until('good-service', 'Ready', 'RegistryDenied', 30_000);
    expect(told.message).toContain(`$KV.${BUCKET}.service-instances.`);
    await untilEvent('ServiceRegistration/good-service', 'RegistryUnavailable');
    expect(denied.crashes()).toEqual([]);
    await denied.process.kill('SIGTERM');
  } finally {
    await server.stop();
  }
}, 90_000);

test('every reason of the list was shown by kubectl, with a sentence', () => {
  const conditions = [...listedWords].filter((word) => !word.startsWith('Event ') && !laterWords.has(word));
  expect(conditions.filter((word) => !shown.has(word) && !SHOWN_WITH_LIMITS.has(word))).toEqual([]);
});

test('every Event of the list is shown by kubectl describe, of an object that it is about', async () => {
  const told = await Promise.all(
    [NAMESPACE, GREEDY].map((namespace) =>
      stage.api.list<EventObject>(`/apis/events.k8s.io/v1/namespaces/${namespace}/events`),
    ),
  );
  const reasons = [...listedWords].flatMap((word) => /^Event (.*)$/.exec(word)?.[1] ?? []);
  const isShown = async (reason: string): Promise<boolean> => {
    const events = told.flat().filter((one) => one.reason === reason);
    // Some of the pods are gone by now.
    const event = events.find(({ regarding }) => regarding.kind === 'ServiceRegistration') ?? events[0];
    if (event === undefined) return false;
    const { kind, namespace = '', name } = event.regarding;
    const described = await stage.cluster.kubectlOk(['-n', namespace, 'describe', `${kind}/${name}`]);
    return new RegExp(`^ +${event.type} +${reason} +.* rollcall\\.dev/operator +\\S+ `, 'm').test(described);
  };
  expect(reasons.length).toBeGreaterThan(0);
  const shown = await Promise.all(reasons.map(isShown));
  expect(reasons.filter((_, index) => !shown[index])).toEqual([]);
}, 60_000);
