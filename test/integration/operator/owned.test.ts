// The resources that Rollcall makes for annotations, on a real control plane: under which name, for whom, and what becomes
// of them when the annotations or people say otherwise. That they are made, put back and go is `main-path.test.ts`.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KubeObject } from '../../../hack/control-plane/api-client.ts';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import type { OperatorProcess } from '../../support/operator-process.ts';
import type { StreamObserver } from '../../support/stream-observer.ts';
import { breaches } from '../../support/stream-verdicts.ts';
import { createRegistration, createWorkload, REGISTER, untilReadyPods, workloadsPath } from './objects.ts';
import { type Registration, registrationsPath, START_MS, Stage } from './stage.ts';

const NAMESPACE = 'owned';
const MANAGED_BY = 'app.kubernetes.io/managed-by';

let stage: Stage;
let observer: StreamObserver;
let operator: OperatorProcess;

beforeAll(async () => {
  stage = await Stage.open();
  operator = await stage.startOperator({ await: 'readyz' });
  observer = await stage.observe();
  await stage.cluster.createNamespace(NAMESPACE);
}, START_MS);

afterAll(() => stage?.close());

/** The resources for a service, once there is exactly this one. */
const untilOnly = (service: string, name: string): Promise<Registration> =>
  waitFor(`${name} to be the only resource of ${service}`, async () => {
    const all = await stage.api.list<Registration>(registrationsPath(NAMESPACE));
    const [only, ...others] = all.filter(({ spec, metadata }) => (spec['serviceName'] ?? metadata.name) === service);
    return others.length === 0 && only?.metadata.name === name && only;
  });
const annotate = (path: string, annotations: Readonly<Record<string, string | null>>): Promise<unknown> =>
  stage.api.patch(path, { metadata: { annotations } });
const deployment = (name: string): string => `${workloadsPath(NAMESPACE, 'Deployment')}/${name}`;
/** Their statuses, as readers see them. */
const statusesOf = (service: string): readonly (string | undefined)[] =>
  observer.ofService(service).map(({ value }) => value?.status);
const untilStatuses = (service: string, ...statuses: readonly string[]): Promise<unknown> =>
  waitFor(`${service} to be ${statuses.join()}`, () => statusesOf(service).join() === statuses.join());

describe.concurrent('of an annotated workload', () => {
  test('it has the workload’s name, and 5 digits of its UID where another has that', async () => {
    await createRegistration(stage.api, NAMESPACE, 'taken', { serviceName: 'other-service' });
    const { metadata } = await createWorkload(stage.api, NAMESPACE, 'taken');
    const made = await untilOnly('taken', `taken-${metadata.uid.slice(0, 5)}`);
    expect(made.metadata).toMatchObject({
      labels: { [MANAGED_BY]: 'rollcall' },
      ownerReferences: [
        { kind: 'Deployment', name: 'taken', uid: metadata.uid, controller: true, blockOwnerDeletion: false },
      ],
    });
    await untilStatuses('taken', 'ACTIVE');
  });

  test('another service name makes another one, and the key of the old name is let go', async () => {
    const { metadata } = await createWorkload(stage.api, NAMESPACE, 'renamed');
    const before = await untilOnly('renamed', 'renamed');
    await untilStatuses('renamed', 'ACTIVE');
    await annotate(deployment('renamed'), { 'rollcall.dev/service-name': 'renamed-service' });
    const after = await untilOnly('renamed-service', `renamed-${metadata.uid.slice(0, 5)}`);
    expect(after.metadata.uid).not.toBe(before.metadata.uid);
    await untilStatuses('renamed-service', 'ACTIVE');
    await untilStatuses('renamed', 'UNHEALTHY');
    expect(await stage.registration(NAMESPACE, 'renamed')).toBeUndefined();
  });

  test('without the label it is a person’s: edits stay, and so does it when the annotation goes', async () => {
    await createWorkload(stage.api, NAMESPACE, 'adopted');
    const made = await untilOnly('adopted', 'adopted');
    await untilStatuses('adopted', 'ACTIVE');
    const path = `${registrationsPath(NAMESPACE)}/adopted`;
    await stage.api.patch(path, { metadata: { labels: { [MANAGED_BY]: null } }, spec: { ttlSeconds: 60 } });
    await annotate(deployment('adopted'), { 'rollcall.dev/register': null });
    const from = observer.mark();
    const isKept = ({ value, headers }: (typeof observer.messages)[number]) =>
      value?.serviceName === 'adopted' && headers['Nats-TTL'] === '60';
    // Two more refreshes: had it gone, or been put back, one of them would tell.
    await observer.until('a refresh with its own TTL', isKept, { from, deadlineMs: 15_000 });
    await observer.until('the next one', isKept, { from: observer.mark(), deadlineMs: 15_000 });
    const kept = await stage.registration(NAMESPACE, 'adopted');
    expect(kept?.metadata.uid).toBe(made.metadata.uid);
    expect(kept?.metadata.labels?.[MANAGED_BY]).toBeUndefined();
    expect(kept?.spec).toMatchObject({ ttlSeconds: 60 });
    expect(statusesOf('adopted')).toEqual(['ACTIVE']);
  }, 60_000);
});

test('of annotated pods that a Job made: one named after the service, without a selector, owned by the Job', async () => {
  const container = { name: 'app', image: 'registry.invalid/app:1.4.2' };
  const annotations = { ...REGISTER, 'rollcall.dev/service-name': 'batch-service' };
  const job = await stage.api.post<KubeObject>(`/apis/batch/v1/namespaces/${NAMESPACE}/jobs`, {
    metadata: { name: 'nightly' },
    spec: {
      parallelism: 2,
      completions: 2,
      template: {
        // Not told to complete, they go on running.
        metadata: { labels: { app: 'nightly' }, annotations },
        spec: { restartPolicy: 'Never', containers: [container] },
      },
    },
  });
  await untilReadyPods(stage.api, NAMESPACE, 'nightly', 2);
  const made = await untilOnly('batch-service', 'batch-service');
  expect(made.spec['selector']).toBeUndefined();
  expect(made.metadata).toMatchObject({
    ownerReferences: [{ kind: 'Job', name: 'nightly', uid: job.metadata.uid, blockOwnerDeletion: false }],
  });
  await untilStatuses('batch-service', 'ACTIVE', 'ACTIVE');
});

test('nothing in the stream broke the contract, and the log warns of nothing', () => {
  expect(breaches(observer)).toEqual([]);
  expect(operator.crashes()).toEqual([]);
  expect(operator.log().filter(({ level }) => level !== 'info')).toEqual([]);
});
