// Key layouts on real servers, by the raw stream: which keys an instance has, how one layout passes into another without
// a gap or a false word, and what happens when the right to the keys of one token is missing.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import type { OperatorProcess } from '../../support/operator-process.ts';
import type { Sighting, StreamObserver } from '../../support/stream-observer.ts';
import { breaches } from '../../support/stream-verdicts.ts';
import { createPod, createRegistration, deletePod, type Pod } from './objects.ts';
import { BUCKET, registrationsPath, START_MS, Stage } from './stage.ts';

const NAMESPACE = 'layouts';
/** A lapse is soon seen, and a machine may still be slow for four refreshes. */
const SHORT = { ttlSeconds: 5, refreshIntervalSeconds: 1 };
const BASE_RIGHTS = [
  `$KV.${BUCKET}.service-instances.*.*`,
  `$ROLLCALL.${BUCKET}.>`,
  '$JS.API.INFO',
  `$JS.API.STREAM.CREATE.KV_${BUCKET}`,
  `$JS.API.STREAM.INFO.KV_${BUCKET}`,
  `$JS.API.STREAM.MSG.GET.KV_${BUCKET}`,
  `$JS.API.CONSUMER.CREATE.KV_${BUCKET}.>`,
  `$JS.API.CONSUMER.DELETE.KV_${BUCKET}.>`,
  `$JS.FC.KV_${BUCKET}.>`,
];
const ONE_TOKEN_RIGHT = `$KV.${BUCKET}.*`;

let dir: string;
let stage: Stage;
let observer: StreamObserver;
let operator: OperatorProcess;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rollcall-layouts-'));
  await writeRights(BASE_RIGHTS);
  await writeFile(join(dir, 'password'), 'operator-word');
  stage = await Stage.open({ natsConfigFile: join(dir, 'server.conf') });
  operator = await startOperator();
  observer = await stage.observe();
  await stage.cluster.createNamespace(NAMESPACE);
}, START_MS);

afterAll(async () => {
  await stage?.close();
  await rm(dir, { recursive: true, force: true });
});

const writeRights = (publish: readonly string[]): Promise<void> =>
  writeFile(
    join(dir, 'server.conf'),
    // The name as the flag says it: a reload does not see the flag.
    `server_name: nats
no_auth_user: witness
system_account: SYSTEM
accounts: {
  SYSTEM: { users: [ { user: system, password: system-word } ] }
  REGISTRY: { jetstream: enabled, users: [
    { user: witness, password: witness-word }
    { user: operator, password: operator-word, permissions: {
      publish: { allow: ${JSON.stringify(publish)} }, subscribe: { allow: ["_INBOX_rollcall.>"] } } }
  ] }
}
`,
  );
const reloadRights = async (): Promise<void> => {
  const system = await connect({ servers: stage.nats.url, user: 'system', pass: 'system-word' });
  const answer = await system.request(`$SYS.REQ.SERVER.${system.info?.server_id}.RELOAD`);
  expect(answer.json()).not.toHaveProperty('error');
  await system.close();
};
const startOperator = (...args: readonly string[]): Promise<OperatorProcess> =>
  stage.startOperator({
    await: 'readyz',
    args: ['--nats-user=operator', `--nats-password-file=${join(dir, 'password')}`, ...args],
  });

/** A service of one pod, both of that name, and the pod's name its id. */
const aService = async (name: string, spec: object): Promise<Pod> => {
  await createRegistration(stage.api, NAMESPACE, name, {
    selector: { matchLabels: { app: name } },
    instanceId: 'PodName',
    ...spec,
  });
  return createPod(stage.api, NAMESPACE, name);
};
const setLayout = (name: string, keyLayout: string) =>
  stage.api.patch(`${registrationsPath(NAMESPACE)}/${name}`, { spec: { keyLayout } });
const untilInForce = (name: string, keyLayout: string) =>
  waitFor(
    `${name} to be registered under ${keyLayout}`,
    async () => {
      const status = (await stage.registration(NAMESPACE, name))?.status;
      const ready = status?.conditions.find(({ type }) => type === 'Ready');
      return status?.effective?.['keyLayout'] === keyLayout && ready?.reason === 'Registered';
    },
    { deadlineMs: 20_000 },
  );

const dotted = (name: string) => `service-instances.${name}.${name}`;
const underscore = (name: string) => `service-instances_${name}_${name}`;
const double = (name: string) => `service-instances__${name}__${name}`;
const history = (key: string, from = 0): readonly Sighting[] =>
  observer.messages.slice(from).filter((sighting) => sighting.key === key);
const untilKey = (key: string, operation: string, from: number, deadlineMs = 20_000) =>
  observer.until(`${operation} of ${key}`, (seen) => seen.key === key && seen.operation === operation, {
    from,
    deadlineMs,
  });
const statuses = (key: string, from = 0) => new Set(history(key, from).flatMap(({ value }) => value?.status ?? []));

test('without the right to keys of one token others go on, the resource names the right, and given it is used', async () => {
  await aService('plain', { ...SHORT });
  await aService('changed', { ...SHORT });
  await untilInForce('changed', 'Dotted');
  await aService('both', { ...SHORT, keyLayout: 'Underscore' });
  await aService('double', { ...SHORT, keyLayout: 'DoubleUnderscore' });
  const changedFrom = observer.mark();
  await setLayout('changed', 'DoubleUnderscore');
  for (const name of ['both', 'double', 'changed']) {
    const told = await stage.untilCondition(NAMESPACE, name, 'Ready', 'RegistryDenied');
    expect(told.message).toContain(`grant it ${ONE_TOKEN_RIGHT}`);
  }
  await untilInForce('plain', 'Dotted');
  // More than a TTL, in which whatever is not refreshed lapses.
  const refreshes = () => history(dotted('changed'), changedFrom).length;
  await waitFor('refreshes of the old key', () => refreshes() >= 7, { deadlineMs: 20_000 });
  for (const name of ['plain', 'both', 'changed']) expect(observer.live.has(dotted(name)), name).toBe(true);
  expect([...observer.live.keys()].filter((key) => !key.includes('.'))).toEqual([]);

  const from = observer.mark();
  const grantedAtMs = Date.now();
  await writeRights([...BASE_RIGHTS, ONE_TOKEN_RIGHT]);
  await reloadRights();
  for (const key of [underscore('both'), double('double'), double('changed')]) {
    const written = await untilKey(key, 'PUT', from);
    expect(written.storedAtMs - grantedAtMs, key).toBeLessThanOrEqual(5_000);
  }
  for (const name of ['both', 'double', 'changed']) {
    await stage.untilCondition(NAMESPACE, name, 'Ready', 'Registered');
  }
  await untilKey(dotted('changed'), 'MaxAge', from);
  expect(statuses(dotted('changed'))).toEqual(new Set(['ACTIVE']));
  expect(operator.crashes()).toEqual([]);
}, 120_000);

test('through all layouts while running: never without a key, never a false word, both keys in one batch', async () => {
  const pod = await aService('walker', SHORT);
  await untilInForce('walker', 'Dotted');
  const from = observer.mark();
  for (const layout of ['Underscore', 'DoubleUnderscore', 'Underscore', 'Dotted']) {
    await setLayout('walker', layout);
    await untilInForce('walker', layout);
  }
  await untilKey(underscore('walker'), 'MaxAge', from);
  const all = [dotted('walker'), underscore('walker'), double('walker')];
  const live = new Set([dotted('walker')]);
  let left = 0;
  for (const { key = '', operation, value, seq } of observer.messages.slice(from)) {
    if (!all.includes(key)) continue;
    expect(operation === 'PUT' ? value?.status : operation, `${seq}`).toMatch(/^(ACTIVE|MaxAge)$/);
    if (operation === 'PUT') live.add(key);
    else live.delete(key);
    left += live.size === 0 ? 1 : 0;
  }
  expect(left).toBe(0);
  expect([...live]).toEqual([dotted('walker')]);
  // While both are in force each of one is next to one of the other.
  const inForce = history(underscore('walker'), from).filter(({ operation }) => operation === 'PUT');
  expect(inForce.length).toBeGreaterThan(1);
  const bySeq = new Map(observer.messages.map((sighting) => [sighting.seq, sighting]));
  for (const { seq } of inForce) {
    expect([bySeq.get(seq - 1)?.key, bySeq.get(seq + 1)?.key], `${seq}`).toContain(dotted('walker'));
  }
  const status = (await stage.registration(NAMESPACE, 'walker'))?.status;
  expect(status?.instances).toMatchObject({ selected: 1, registered: 1, active: 1 });
  expect(status?.details).toMatchObject([{ pod: pod.metadata.name, key: dotted('walker'), status: 'ACTIVE' }]);
}, 120_000);

test('an installation that comes back with another layout: the living get new keys, the dead a farewell', async () => {
  await aService('survivor', {});
  const dead = await aService('casualty', {});
  for (const name of ['survivor', 'casualty']) await untilInForce(name, 'Dotted');
  await operator.process.kill('SIGTERM');
  await deletePod(stage.api, dead);
  const from = observer.mark();
  operator = await startOperator('--key-layout=DoubleUnderscore');
  await untilKey(double('survivor'), 'PUT', from);
  await untilKey(dotted('casualty'), 'PUT', from);
  await untilInForce('survivor', 'DoubleUnderscore');
  expect(statuses(dotted('casualty'), from)).toEqual(new Set(['UNHEALTHY']));
  expect(history(double('casualty'))).toEqual([]);
  await untilKey(dotted('survivor'), 'MaxAge', from, 40_000);
  expect(statuses(dotted('survivor'))).toEqual(new Set(['ACTIVE']));
  // One refresh may have been due before the new key stood.
  expect(history(dotted('survivor'), from).length).toBeLessThanOrEqual(2);
  expect(observer.live.get(double('survivor'))?.value?.status).toBe('ACTIVE');
  expect(operator.crashes()).toEqual([]);
}, 120_000);

test('the whole record keeps the contract', () => {
  expect(observer.unseen).toBe(0);
  expect(breaches(observer)).toEqual([]);
});
