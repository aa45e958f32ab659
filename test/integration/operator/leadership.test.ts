// Operators that die, pause and leave while a thousand keys stand: no key of a Ready pod lapses, no message of an old term
// is accepted after a new one began, and hand-overs take what is promised. Judged from the raw stream.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import { lapseDelays, terms } from '../../support/stream-verdicts.ts';
import { Fleet, loggedAtMs, PODS, pause } from './fleet.ts';
import { START_MS } from './stage.ts';

const KILLS = 10;
const HANDOVER_CRASH_MS = 8_000;
const HANDOVER_PLANNED_MS = 2_000;
const OLDEST_REFRESH_MS = 22_000;
const TTL_MS = 30_000;

let fleet: Fleet;

beforeAll(async () => {
  fleet = await Fleet.open(async (stage) => {
    await stage.startOperator({ await: 'readyz' });
    await stage.startOperator({ await: 'readyz' });
  });
}, START_MS);

afterAll(() => fleet?.close());

/** The first message of the lock by another process than this one since the mark, as the server stored it. */
const untilAnotherLeads = (pid: number, from: number) =>
  fleet.observer.until(
    `another than process ${pid} to lead`,
    ({ subject, operation, headers }) =>
      subject.endsWith('.lock') && operation === 'PUT' && headers['Rollcall-Holder']?.includes(`-${pid}-`) === false,
    { from, deadlineMs: 30_000 },
  );

test(`kill -9 the leader ${KILLS} times among ${PODS} keys: nothing lapses, terms grow, each sweep is done in time`, async () => {
  const { stage, observer } = fleet;
  const from = observer.mark();
  const handovers: number[] = [];
  const sweeps: number[] = [];
  for (let kill = 0; kill < KILLS; kill += 1) {
    const { leader } = await stage.leaderAndStandby();
    const { pid } = leader;
    // A random moment of the leader's life.
    await pause(Math.random() * 2_000);
    const mark = observer.mark();
    const killedAtMs = Date.now();
    await leader.process.kill('SIGKILL');
    const [taken] = await Promise.all([untilAnotherLeads(pid, mark), leader.process.restart()]);
    handovers.push(taken.storedAtMs - killedAtMs);
    sweeps.push((await fleet.untilAllWrittenSince(taken.storedAtMs, 20_000)) - killedAtMs);
  }
  process.stdout.write(
    `hand-overs ${handovers.map(Math.round).join(' ')} ms, sweeps ${sweeps.map(Math.round).join(' ')} ms\n`,
  );
  expect(fleet.faults(from)).toEqual([]);
  expect(fleet.oldestRefreshMs(from)).toBeLessThan(OLDEST_REFRESH_MS);
  const termBefore = Math.max(...terms(observer.messages.slice(0, from)));
  expect(terms(observer.messages.slice(from)).filter((term) => term > termBefore)).toHaveLength(KILLS);
  expect(Math.max(...handovers)).toBeLessThanOrEqual(HANDOVER_CRASH_MS);
  expect(Math.max(...sweeps)).toBeLessThanOrEqual(HANDOVER_CRASH_MS);
  expect(await fleet.health()).toEqual([]);
}, 300_000);

test('SIGTERM to the leader: the next one leads within 2 s, nothing lapses, the process ends with 0', async () => {
  const { stage, observer } = fleet;
  const from = observer.mark();
  for (let turn = 0; turn < 2; turn += 1) {
    const { leader } = await stage.leaderAndStandby();
    const { pid } = leader;
    const mark = observer.mark();
    const toldAtMs = Date.now();
    await leader.process.kill('SIGTERM');
    expect((await leader.process.exited).code).toBe(0);
    const taken = await untilAnotherLeads(pid, mark);
    expect(taken.storedAtMs - toldAtMs).toBeLessThanOrEqual(HANDOVER_PLANNED_MS);
    await leader.process.restart();
  }
  expect(fleet.faults(from)).toEqual([]);
  expect(fleet.oldestRefreshMs(from)).toBeLessThan(OLDEST_REFRESH_MS);
}, 60_000);

test('SIGSTOP the leader for 20 s: nothing lapses, and what it says afterwards is not accepted', async () => {
  const { stage, observer } = fleet;
  const from = observer.mark();
  const { leader, standby } = await stage.leaderAndStandby();
  leader.process.pause();
  const taken = await untilAnotherLeads(leader.pid, from);
  // Time itself is the subject.
  await pause(20_000);
  const resumedAtMs = Date.now();
  leader.process.resume();
  await waitFor('the old leader to notice', () => loggedAtMs(leader, 'no longer leading') >= resumedAtMs);
  // One interval later everything has been written again, by the new one alone.
  await fleet.untilAllWrittenSince(resumedAtMs, 15_000);
  expect(fleet.faults(from)).toEqual([]);
  expect(fleet.oldestRefreshMs(from)).toBeLessThan(OLDEST_REFRESH_MS);
  const term = Number(taken.headers['Rollcall-Term']);
  expect(observer.holderPid).toBe(standby.pid);
  expect(terms(observer.messages.filter(({ seq }) => seq >= taken.seq))).toEqual([term]);
  expect(await fleet.health()).toEqual([]);
}, 90_000);

test('pods that die while no operator runs are UNHEALTHY soon after the start, and the living do not lapse', async () => {
  const { stage, observer } = fleet;
  const from = observer.mark();
  await Promise.all(stage.operators.map(({ process }) => process.kill('SIGKILL')));
  const dead = await fleet.deletePods(20);
  await pause(5_000);
  const mark = observer.mark();
  const startedAtMs = Date.now();
  await Promise.all(stage.operators.map(({ process }) => process.restart()));
  const endedAtMs = await fleet.untilNotActive(dead, mark, 30_000);
  // The lock of the dead lapses first.
  expect(endedAtMs - startedAtMs).toBeLessThanOrEqual(HANDOVER_CRASH_MS);
  await fleet.untilAllWrittenSince(startedAtMs, 15_000);
  expect(fleet.faults(from)).toEqual([]);
  await waitFor('the dead keys to lapse', () => fleet.observer.live.size === fleet.living, {
    deadlineMs: TTL_MS + 5_000,
  });
}, 90_000);

test('without any operator every key lapses within TTL + 0.5 s of its last write, and is back within 5 s of a start', async () => {
  const { stage, observer } = fleet;
  await stage.leaderAndStandby();
  const from = observer.mark();
  await Promise.all(stage.operators.map(({ process }) => process.kill('SIGKILL')));
  await waitFor('the last key to lapse', () => observer.live.size === 0, { deadlineMs: TTL_MS + 10_000 });
  const delays = lapseDelays(observer, from);
  expect(delays.length).toBe(fleet.living);
  expect(Math.max(...delays)).toBeLessThanOrEqual(TTL_MS + 500);
  const startedAtMs = Date.now();
  await Promise.all(stage.operators.map(({ process }) => process.restart()));
  const lastAtMs = await fleet.untilAllWrittenSince(startedAtMs, 20_000);
  process.stdout.write(`back ${Math.round(lastAtMs - startedAtMs)} ms after the start\n`);
  expect(lastAtMs - startedAtMs).toBeLessThanOrEqual(5_000);
  expect(fleet.standing()).toHaveLength(fleet.living);
  expect(await fleet.health()).toEqual([]);
}, 120_000);
