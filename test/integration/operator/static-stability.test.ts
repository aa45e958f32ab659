// The API server is away, and what an operator does about its keys must follow from what it knew and from what pods
// answer: probed pods that die, operators that start over a full bucket, a leader that alone is cut off. A thousand
// keys; 150 of the pods listen, at addresses of this machine.

import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeKubeconfig } from '../../../hack/control-plane/kubeconfig.ts';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import type { OperatorProcess } from '../../support/operator-process.ts';
import type { Sighting } from '../../support/stream-observer.ts';
import { startTcpProxy, type TcpProxy } from '../../support/tcp-proxy.ts';
import { Fleet, loggedAtMs, PODS, pause } from './fleet.ts';
import { deletePod } from './objects.ts';
import { START_MS, type Stage } from './stage.ts';

const LISTENING = 150;
const DYING = 50;
const PROBED_GONE_MS = 45_000;
/** Longer than the TTL: what nobody refreshes is gone by then. */
const LONGER_THAN_TTL_MS = 36_000;

let fleet: Fleet;
const servers: Server[] = [];
const proxies: TcpProxy[] = [];

const addressOf = (index: number): string => `127.77.${index >> 8}.${index & 255}`;

const listen = async (index: number): Promise<Server> => {
  const server = createServer((socket) => socket.on('error', () => undefined).resume());
  await once(server.listen(8_080, addressOf(index)), 'listening');
  return server;
};

/** An operator with a way to the API server of its own, and what it takes to start without the API server. */
const startOperator = async (stage: Stage, name: string, args: readonly string[]): Promise<TcpProxy> => {
  const { cluster } = stage;
  const proxy = await startTcpProxy({ port: Number(new URL(cluster.url).port) });
  const kubeconfig = await writeKubeconfig({
    path: join(stage.dir, `${name}.kubeconfig`),
    url: `https://127.0.0.1:${proxy.port}`,
    caFile: cluster.caFile,
    user: 'rollcall',
    token: cluster.token('rollcall'),
  });
  await stage.startOperator({ kubeconfig, args });
  return proxy;
};

beforeAll(async () => {
  for (let index = 0; index < LISTENING; index += 1) servers.push(await listen(index));
  fleet = await Fleet.open(
    async (stage) => {
      const kubeSystem = await stage.api.find('/api/v1/namespaces/kube-system');
      proxies.push(
        await startOperator(stage, 'first', [`--state-dir=${join(stage.dir, 'state')}`]),
        await startOperator(stage, 'second', [`--operator-id=${kubeSystem?.metadata.uid}`]),
      );
    },
    (index) => ({ 'rollcall.dev/demo-ip': addressOf(index) }),
  );
}, START_MS);

afterAll(async () => {
  await fleet?.close();
  await Promise.all(proxies.map((proxy) => proxy.close()));
  for (const server of servers) server.close();
});

const probedBy = async (operator: OperatorProcess): Promise<number> => {
  const line = (await operator.metrics()).split('\n').find((text) => text.startsWith('rollcall_pods_probed '));
  return Number(line?.split(' ')[1]);
};

const contentOf = ({ value }: Sighting) => ({ ...value, lastHeartbeat: '' });

/** KWOK may play a pod's start again when it finds the API server back, and the operator is right to tell it. */
const withoutStart = (content: ReturnType<typeof contentOf> | undefined) => ({
  ...content,
  metadata: { ...content?.metadata, start_time: '' },
});

test(`pods that listened and die while the API server is away are gone within 45 s; no other of ${PODS} lapses`, async () => {
  const { stage, observer } = fleet;
  await waitFor('every listening pod to be known to every replica', async () => {
    const known = await Promise.all(stage.operators.map(probedBy));
    return known.every((count) => count === LISTENING) || undefined;
  });
  const from = observer.mark();
  const apiServer = stage.cluster.process('kube-apiserver');
  const killedAtMs = Date.now();
  await apiServer.kill('SIGKILL');
  const { leader } = await stage.leaderAndStandby();
  await waitFor(
    'the leader to be blind',
    () => loggedAtMs(leader, 'view of the cluster', { fresh: false }) > killedAtMs,
    {
      deadlineMs: 20_000,
    },
  );
  const dead = fleet.die(DYING);
  for (const server of servers.slice(0, DYING)) server.close();
  const diedAtMs = Date.now();
  const deadUids = new Set(dead.map(({ metadata }) => metadata.uid));
  await waitFor(
    'the dead keys to lapse',
    () => ![...observer.live.values()].some(({ podUid }) => deadUids.has(podUid)) || undefined,
    { deadlineMs: PROBED_GONE_MS + 10_000 },
  );
  const goneMs = Date.now() - diedAtMs;
  process.stdout.write(`the probed dead were gone after ${goneMs} ms\n`);
  expect(goneMs).toBeLessThanOrEqual(PROBED_GONE_MS);
  expect(fleet.standing()).toHaveLength(fleet.living);
  await apiServer.restart();
  await Promise.all(dead.map((pod) => deletePod(stage.api, pod)));
  await waitFor(
    'the leader to see again',
    () => loggedAtMs(leader, 'view of the cluster', { fresh: true }) > diedAtMs,
    {
      deadlineMs: 60_000,
    },
  );
  expect(fleet.faults(from)).toEqual([]);
  expect(await fleet.health()).toEqual([]);
}, 240_000);

test('operators that start while the API server is away keep up every key as it is and make none', async () => {
  const { stage, observer } = fleet;
  await waitFor('the dead to be gone', () => observer.live.size === fleet.living || undefined, { deadlineMs: 40_000 });
  const from = observer.mark();
  await Promise.all(stage.operators.map(({ process }) => process.kill('SIGTERM')));
  // Nobody writes any more; until now KWOK, which lost the API server as well, may have told something new of a pod.
  const before = new Map([...observer.live].map(([key, sighting]) => [key, contentOf(sighting)]));
  const apiServer = stage.cluster.process('kube-apiserver');
  await apiServer.kill('SIGKILL');
  const startedAtMs = Date.now();
  await Promise.all(stage.operators.map(({ process }) => process.restart()));
  const sweptMs = (await fleet.untilAllWrittenSince(startedAtMs, 20_000)) - startedAtMs;
  process.stdout.write(`all refreshed ${Math.round(sweptMs)} ms after the start without the API server\n`);
  await pause(LONGER_THAN_TTL_MS);
  expect(fleet.faults(from)).toEqual([]);
  expect(new Map([...observer.live].map(([key, sighting]) => [key, contentOf(sighting)]))).toEqual(before);
  // Whoever died meanwhile is unknown to the operators, and who came as well.
  await apiServer.restart();
  const backAtMs = Date.now();
  const dead = await fleet.deletePods(5);
  await fleet.untilNotActive(dead, observer.mark(), 60_000);
  await fleet.untilAllWrittenSince(backAtMs, 60_000);
  await stage.untilCondition('space-9', 'service-9-0', 'Ready', 'Registered', 20_000);
  expect(fleet.faults(from)).toEqual([]);
  const after = [...observer.live].filter(([, { podUid }]) => fleet.wasReady(podUid));
  expect(after).toHaveLength(fleet.living);
  for (const [key, sighting] of after) expect(withoutStart(contentOf(sighting))).toEqual(withoutStart(before.get(key)));
  expect(await fleet.health()).toEqual([]);
}, 240_000);

test('a leader that alone is cut from the API server yields within 20 s, and nothing lapses', async () => {
  const { stage, observer } = fleet;
  const { leader } = await stage.leaderAndStandby();
  const proxy = proxies[stage.operators.indexOf(leader)];
  if (proxy === undefined) throw new Error('no way to the API server of the leader');
  const from = observer.mark();
  const cutAtMs = Date.now();
  proxy.cut();
  const isAnothers = ({ subject, operation, headers }: Sighting) =>
    subject.endsWith('.lock') &&
    operation === 'PUT' &&
    headers['Rollcall-Holder']?.includes(`-${leader.pid}-`) === false;
  const taken = await observer.until('another one to lead', isAnothers, { from, deadlineMs: 40_000 });
  process.stdout.write(`another one led ${Math.round(taken.storedAtMs - cutAtMs)} ms after the cut\n`);
  expect(taken.storedAtMs - cutAtMs).toBeLessThanOrEqual(20_000);
  // It stays with the new one, also when the old one sees again.
  await pause(5_000);
  proxy.pass();
  await fleet.untilAllWrittenSince(taken.storedAtMs, 20_000);
  await waitFor(
    'the old one to see again',
    () => loggedAtMs(leader, 'view of the cluster', { fresh: true }) > cutAtMs,
    {
      deadlineMs: 60_000,
    },
  );
  expect(observer.holderPid).not.toBe(leader.pid);
  expect(fleet.faults(from)).toEqual([]);
  expect(await fleet.health()).toEqual([]);
}, 150_000);
