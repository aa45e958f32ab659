// The API server or NATS goes away, wholly or for the operators alone, while a thousand keys stand. Every outage of the API
// lasts longer than the TTL, so a key that nobody refreshed would be gone. ROLLCALL_FULL=1 makes each two minutes long.

import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeKubeconfig } from '../../../hack/control-plane/kubeconfig.ts';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import { startTcpProxy, type TcpProxy } from '../../support/tcp-proxy.ts';
import { Fleet, loggedAtMs, PODS, pause } from './fleet.ts';
import { START_MS } from './stage.ts';

const OUTAGE_MS = process.env['ROLLCALL_FULL'] === '1' ? 120_000 : 40_000;
const OUTAGE = `${OUTAGE_MS / 1_000} s`;
/** A view without proof for so long is told to be old. */
const BLIND_MS = 16_000;
const CATCH_UP_MS = 5_000;
const OLDEST_REFRESH_MS = 22_000;

let fleet: Fleet;
let proxy: TcpProxy;

beforeAll(async () => {
  fleet = await Fleet.open(async (stage) => {
    const { cluster } = stage;
    proxy = await startTcpProxy({ port: Number(new URL(cluster.url).port) });
    const kubeconfig = await writeKubeconfig({
      path: join(stage.dir, 'proxied.kubeconfig'),
      url: `https://127.0.0.1:${proxy.port}`,
      caFile: cluster.caFile,
      user: 'rollcall',
      token: cluster.token('rollcall'),
    });
    await stage.startOperator({ kubeconfig, await: 'readyz' });
    await stage.startOperator({ kubeconfig, await: 'readyz' });
  });
}, START_MS);

afterAll(async () => {
  const memory = await Promise.all((fleet?.stage.operators ?? []).map((operator) => operator.memoryMiB()));
  process.stdout.write(`memory ${memory.map(Math.round).join(' ')} MiB\n`);
  await fleet?.close();
  await proxy?.close();
});

/** When the present leader last said that its view is fresh, or old. */
const leaderSaid = async (fresh: boolean): Promise<number> => {
  const { leader } = await fleet.stage.leaderAndStandby();
  return loggedAtMs(leader, 'view of the cluster', { fresh });
};

const untilFreshAgain = async (sinceMs: number): Promise<number> => {
  const said = async () => {
    const atMs = await leaderSaid(true);
    return atMs > sinceMs && atMs;
  };
  return waitFor('the leader to see again', said, { deadlineMs: 60_000 });
};

test(
  `the API server is killed for ${OUTAGE}: none of ${PODS} keys lapses`,
  async () => {
    const from = fleet.observer.mark();
    const apiServer = fleet.stage.cluster.process('kube-apiserver');
    const killedAtMs = Date.now();
    await apiServer.kill('SIGKILL');
    await pause(OUTAGE_MS);
    const blindAtMs = await leaderSaid(false);
    expect(blindAtMs - killedAtMs).toBeGreaterThan(0);
    expect(blindAtMs - killedAtMs).toBeLessThanOrEqual(BLIND_MS);
    await apiServer.restart();
    const backAtMs = Date.now();
    const freshAtMs = await untilFreshAgain(killedAtMs);
    process.stdout.write(
      `blind after ${blindAtMs - killedAtMs} ms, fresh ${freshAtMs - backAtMs} ms after the start\n`,
    );
    await fleet.untilAllWrittenSince(freshAtMs, 15_000);
    expect(fleet.faults(from)).toEqual([]);
    expect(fleet.oldestRefreshMs(from)).toBeLessThan(OLDEST_REFRESH_MS);
    await fleet.stage.untilCondition('space-0', 'service-0-0', 'Ready', 'Registered', 20_000);
    expect(await fleet.health()).toEqual([]);
  },
  OUTAGE_MS + 120_000,
);

test.for<'cut' | 'hold'>([
  'cut',
  'hold',
])(`the operators alone lose the API for ${OUTAGE} (%s) while 20 pods are deleted: no other lapses, those go when it is seen`, {
  timeout: OUTAGE_MS + 120_000,
}, async (mode) => {
  const from = fleet.observer.mark();
  const lostAtMs = Date.now();
  proxy[mode]();
  await pause(OUTAGE_MS / 2);
  const dead = await fleet.deletePods(20);
  await pause(OUTAGE_MS / 2);
  expect(fleet.standing()).toHaveLength(fleet.living);
  const seen = fleet.observer.mark();
  const backAtMs = Date.now();
  proxy.pass();
  const freshAtMs = await untilFreshAgain(lostAtMs);
  const endedAtMs = await fleet.untilNotActive(dead, from, 30_000);
  process.stdout.write(
    `${mode}: fresh ${freshAtMs - backAtMs} ms after the end, the dead gone after ${Math.round(endedAtMs - backAtMs)} ms\n`,
  );
  expect(endedAtMs - freshAtMs).toBeLessThanOrEqual(CATCH_UP_MS);
  await fleet.untilAllWrittenSince(backAtMs, 15_000);
  expect(fleet.faults(from)).toEqual([]);
  expect(fleet.faults(seen)).toEqual([]);
  expect(fleet.oldestRefreshMs(from)).toBeLessThan(OLDEST_REFRESH_MS);
  expect(await fleet.health()).toEqual([]);
});

test('NATS is paused for 10 s: nothing lapses', async () => {
  const from = fleet.observer.mark();
  fleet.stage.nats.process.pause();
  await pause(10_000);
  const backAtMs = Date.now();
  fleet.stage.nats.process.resume();
  const lastAtMs = await fleet.untilAllWrittenSince(backAtMs, 30_000);
  process.stdout.write(`all written ${Math.round(lastAtMs - backAtMs)} ms after the end\n`);
  expect(fleet.faults(from)).toEqual([]);
  expect(await fleet.health()).toEqual([]);
}, 90_000);

test('NATS is killed and comes back after 10 s: nothing lapses', async () => {
  const from = fleet.observer.mark();
  const { process: nats } = fleet.stage.nats;
  await nats.kill('SIGKILL');
  await pause(10_000);
  const backAtMs = Date.now();
  await nats.restart();
  const lastAtMs = await fleet.untilAllWrittenSince(backAtMs, 30_000);
  process.stdout.write(`all written ${Math.round(lastAtMs - backAtMs)} ms after the start\n`);
  expect(fleet.faults(from)).toEqual([]);
  expect(await fleet.health()).toEqual([]);
}, 90_000);

test('NATS is away for 45 s: everything lapsed, and all of it is back within 5 s', async () => {
  const from = fleet.observer.mark();
  const { process: nats } = fleet.stage.nats;
  await nats.kill('SIGKILL');
  await pause(45_000);
  await nats.restart();
  const backAtMs = Date.now();
  const lastAtMs = await fleet.untilAllWrittenSince(backAtMs - 5_000, 30_000);
  process.stdout.write(`all back ${Math.round(lastAtMs - backAtMs)} ms after the start\n`);
  expect(lastAtMs - backAtMs).toBeLessThanOrEqual(CATCH_UP_MS);
  await fleet.untilAllStand(5_000);
  await fleet.stage.untilCondition('space-0', 'service-0-0', 'Ready', 'Registered', 20_000);
  // They lapsed, which is no fault here; everything else would be.
  expect(fleet.faults(from).filter((fault) => !fault.startsWith('lapsed'))).toEqual([]);
  expect(await fleet.health()).toEqual([]);
}, 150_000);
