// Keys while the API server is away, on fake time: one row per pod, proofs of the view given by hand.

import { afterEach, beforeEach, expect, test } from 'vitest';
import { Outage } from '../../../src/controllers/outage.ts';
import type { ProbeOutcome } from '../../../src/controllers/prober.ts';
import { View } from '../../../src/controllers/view.ts';
import type { PodView } from '../../../src/domain/pod.ts';
import type { RegistrationView } from '../../../src/domain/service-registration.ts';
import type { ApiOutage } from '../../../src/domain/settings.ts';
import type { Row } from '../../../src/table/row.ts';
import { aPod, keyOf } from '../../support/builders.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeProber } from '../../support/fake-prober.ts';
import { aRow, aWish, ours, uidOf } from '../../support/wishes.ts';

const PROBE: ApiOutage = { mode: 'Probe', maxHoldSeconds: 300 };
const PORT = 8080;

let clock: FakeClock;
let prober: FakeProber;
let outage: Outage;
let rows: Map<string, Row>;
let sources: { prove(atMs: number): void }[];
let pods: View<PodView>;
let stop: AbortController;
let running: Promise<void>;
/** Who does not answer, by address. */
let dead: Set<string>;
let outcomeOfAll: ProbeOutcome | undefined;
let warnings: string[];

beforeEach(() => {
  clock = new FakeClock();
  pods = new View<PodView>();
  const registrations = new View<RegistrationView>();
  sources = [pods.addSource(), registrations.addSource()];
  rows = new Map();
  dead = new Set();
  outcomeOfAll = undefined;
  warnings = [];
  prober = new FakeProber(clock, ({ host }) => outcomeOfAll ?? (dead.has(host) ? 'failed' : 'answered'));
  outage = new Outage({
    views: { pods, registrations },
    table: { rows: () => rows.values() },
    prober,
    clock,
    log: { debug: () => {}, info: () => {}, warn: (_, text) => void warnings.push(text), error: () => {} },
    onProbe: () => undefined,
    knows: () => true,
  });
  stop = new AbortController();
  running = outage.probes.run(stop.signal);
});

afterEach(async () => {
  stop.abort();
  await running;
});

const aPodWithKey = (
  name: string,
  options: { ip?: string; port?: number; apiOutage?: ApiOutage; fraction?: number } = {},
): Row => {
  const { ip = `10.0.0.${rows.size + 1}`, port = PORT, apiOutage = PROBE, fraction = 0.5 } = options;
  pods.put(aPod({ name, key: keyOf(name), uid: uidOf(name), ip }));
  const wish = aWish({ podName: name, apiOutage });
  const withPort = { ...wish, content: { ...wish.content, metadata: { ...wish.content.metadata, port } } };
  const row = aRow(withPort, ours(wish, 0), { fraction });
  rows.set(name, row);
  return row;
};

const ipOf = (row: Row): string => pods.get(keyOf(row.wish.pod.name))?.ip ?? '';

/** The API server is heard for so long. */
const seeFor = async (ms: number): Promise<void> => {
  for (let passed = 0; passed < ms; passed += 1_000) {
    for (const source of sources) source.prove(clock.monotonicMs());
    await clock.advance(1_000);
  }
};

/** From the last proof on. */
const goBlind = () => clock.advance(15_001);

test('a pod that answered in sight and dies in blindness is let go after two probes, and its neighbours are kept', async () => {
  const dying = aPodWithKey('dying');
  const living = ['a', 'b', 'c'].map((name) => aPodWithKey(name));
  await seeFor(10_000);
  expect(outage.probes.judged).toBe(4);
  await goBlind();
  dead.add(ipOf(dying));
  expect(outage.mayKeep(dying)).toBe(true);
  await clock.advance(5_000);
  expect(outage.mayKeep(dying)).toBe(true);
  await clock.advance(6_000);
  expect(outage.mayKeep(dying)).toBe(false);
  // Long after the hold is over, whoever answers is kept.
  await clock.advance(1_000_000);
  expect(living.map((row) => outage.mayKeep(row))).toEqual([true, true, true]);
  expect(outage.mayKeep(dying)).toBe(false);
  dead.clear();
  await clock.advance(6_000);
  expect(outage.mayKeep(dying)).toBe(true);
});

test('once the view is back nothing that was found counts any more', async () => {
  const dying = aPodWithKey('dying');
  aPodWithKey('other');
  await seeFor(10_000);
  await goBlind();
  dead.add(ipOf(dying));
  await clock.advance(12_000);
  expect(outage.mayKeep(dying)).toBe(false);
  await seeFor(3_000);
  expect(outage.mayKeep(dying)).toBe(true);
  await goBlind();
  expect(outage.mayKeep(dying)).toBe(true);
});

test('who did not answer while the view was fresh is not judged by probes, but held for its time and let go at its own moment', async () => {
  dead.add('10.0.0.1');
  const early = aPodWithKey('early', { fraction: 0 });
  const portless = aPodWithKey('portless', { port: 9_999, fraction: 0.99 });
  aPodWithKey('listening');
  await seeFor(10_000);
  expect(prober.asked.some((target) => target.endsWith(':9999'))).toBe(false);
  await goBlind();
  await clock.advance(290_000);
  expect([early, portless].map((row) => outage.mayKeep(row))).toEqual([true, true]);
  await clock.advance(20_000);
  expect([early, portless].map((row) => outage.mayKeep(row))).toEqual([false, true]);
  await clock.advance(60_000);
  expect(outage.mayKeep(portless)).toBe(false);
});

test('a NetworkPolicy that came since the last probe is found in time: doubt asks everybody once more', async () => {
  const cut = aPodWithKey('cut');
  for (const name of ['a', 'b', 'c']) aPodWithKey(name);
  await seeFor(10_000);
  dead.add(ipOf(cut));
  await seeFor(60_000);
  await goBlind();
  expect(outage.probes.judged).toBe(3);
  await clock.advance(60_000);
  expect(outage.mayKeep(cut)).toBe(true);
});

test('where more than half fail together nobody is let go for it; half of them is believed', async () => {
  const all = ['a', 'b', 'c', 'd'].map((name) => aPodWithKey(name));
  await seeFor(10_000);
  await goBlind();
  for (const row of all.slice(0, 3)) dead.add(ipOf(row));
  await clock.advance(60_000);
  expect(all.map((row) => outage.mayKeep(row))).toEqual([true, true, true, true]);
  expect(warnings).toHaveLength(1);
  // What the prober says is not believed, so these are as if they could not be asked.
  await clock.advance(300_000);
  expect(all.map((row) => outage.mayKeep(row))).toEqual([false, false, false, true]);
  dead.clear();
  await clock.advance(6_000);
  dead.add(ipOf(all[0] ?? aPodWithKey('none')));
  dead.add(ipOf(all[1] ?? aPodWithKey('none')));
  await clock.advance(12_000);
  expect(all.map((row) => outage.mayKeep(row))).toEqual([false, false, true, true]);
});

test('probes that our own machine cannot make say nothing: such pods are held like those without a port', async () => {
  const row = aPodWithKey('a');
  aPodWithKey('b');
  await seeFor(10_000);
  await goBlind();
  outcomeOfAll = 'impossible';
  await clock.advance(60_000);
  expect(outage.mayKeep(row)).toBe(true);
  expect(warnings).toEqual([]);
  await clock.advance(400_000);
  expect(outage.mayKeep(row)).toBe(false);
});

test.each([
  ['Hold', true],
  ['Lapse', false],
] as const)('%s: no probe, and in blindness a key is refreshed: %s', async (mode, kept) => {
  const row = aPodWithKey('a', { apiOutage: { mode, maxHoldSeconds: 1 } });
  await seeFor(10_000);
  expect(outage.mayKeep(row)).toBe(true);
  await goBlind();
  expect(outage.mayKeep(row)).toBe(kept);
  await clock.advance(100_000_000);
  expect(outage.mayKeep(row)).toBe(kept);
  expect(prober.asked).toEqual([]);
});

test('while the view is fresh a pod is asked once, and again only after minutes; a new address at once', async () => {
  aPodWithKey('a', { ip: '10.0.0.1' });
  await seeFor(60_000);
  expect(prober.asked).toEqual(['10.0.0.1:8080']);
  pods.put(aPod({ name: 'a', key: keyOf('a'), uid: uidOf('a'), ip: '10.0.0.9' }));
  await seeFor(10_000);
  expect(prober.asked).toEqual(['10.0.0.1:8080', '10.0.0.9:8080']);
  await seeFor(400_000);
  expect(prober.asked).toHaveLength(3);
});

test('a round of a thousand probes is spread, in sight and in blindness, and is over before the next', async () => {
  for (let number = 0; number < 1_000; number += 1) aPodWithKey(`pod-${number}`);
  /** Probes within one step; one that is late falls together with the next. */
  const mostAtOnce = async (ms: number, isSeen: boolean) => {
    let most = 0;
    for (let passed = 0; passed < ms; passed += 20) {
      const before = prober.asked.length;
      if (isSeen) for (const source of sources) source.prove(clock.monotonicMs());
      await clock.advance(20);
      most = Math.max(most, prober.asked.length - before);
    }
    return most;
  };
  expect(await mostAtOnce(6_000, true)).toBeLessThanOrEqual(5 * 2);
  expect(prober.asked).toHaveLength(1_000);
  await goBlind();
  prober.asked.length = 0;
  expect(await mostAtOnce(20_000, false)).toBeLessThanOrEqual(10 * 2);
  // One each 5 s; the last may have begun only.
  expect(prober.asked.length).toBeGreaterThanOrEqual(3_000);
  expect(prober.asked.length).toBeLessThanOrEqual(5_000);
});

test('a replica that never saw anything holds from its start on', async () => {
  const row = aPodWithKey('a', { fraction: 0 });
  await clock.advance(299_000);
  expect(outage.sight).toBe('blind');
  expect(outage.mayKeep(row)).toBe(true);
  await clock.advance(2_000);
  expect(outage.mayKeep(row)).toBe(false);
});

test('a namespace that may not be read any more is held for its time, and costs no other its keys', async () => {
  const registrations = new View<RegistrationView>();
  pods = new View<PodView>();
  const [here, there] = [pods.addSource('trading'), pods.addSource('elsewhere')];
  const others = [registrations.addSource('trading'), registrations.addSource('elsewhere')];
  const quiet = () => undefined;
  outage = new Outage({
    views: { pods, registrations },
    table: { rows: () => rows.values() },
    prober,
    clock,
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    onProbe: quiet,
    knows: () => true,
  });
  const [readable, denied] = [aPodWithKey('a'), aPodWithKey('b')];
  const away = { ...denied, wish: { ...denied.wish, pod: { ...denied.wish.pod, namespace: 'elsewhere' } } };
  for (const source of [here, there, ...others]) source.prove(clock.monotonicMs());
  there.denied = true;
  const seeHere = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 5_000) {
      await clock.advance(5_000);
      for (const source of [here, ...others]) source.prove(clock.monotonicMs());
    }
  };
  await seeHere(300_000);
  expect(outage.sight).toBe('fresh');
  expect([outage.mayKeep(readable), outage.mayKeep(away)]).toEqual([true, true]);
  await seeHere(100_000);
  expect([outage.mayKeep(readable), outage.mayKeep(away)]).toEqual([true, false]);
});
