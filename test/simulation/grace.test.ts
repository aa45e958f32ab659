// `notReadyGraceSeconds` over time, on a whole installation: what readers see of a flap, also while leaders change.

import { afterEach, beforeEach, expect, test } from 'vitest';
import { seeded } from './support/seeded.ts';
import { PLAIN, type Truth, World } from './support/world.ts';

const GRACE_MS = 20_000;

let world: World;
let pod: Truth;

beforeEach(async () => {
  world = new World(seeded(1));
  world.setSpec({ ...PLAIN, notReadyGraceSeconds: GRACE_MS / 1_000 });
  world.startReplica();
  world.startReplica();
  world.addPod('pod-0', true, false);
  await world.clock.advance(5_000);
  const [only] = world.livingPods;
  if (only === undefined) throw new Error('no pod');
  pod = only;
  expect(statuses(0)).toEqual(['ACTIVE']);
});

afterEach(() => world.end());

/** What readers saw of the pod's key since then, repeats left out. */
const statuses = (sinceMs: number): readonly string[] => {
  const seen: string[] = [];
  for (const entry of world.stream.history()) {
    if (entry.atMs < sinceMs) continue;
    const subject = entry.kind === 'stored' ? entry.message.subject : entry.subject;
    if (!subject.includes('service-instances')) continue;
    const body = entry.kind === 'stored' ? Buffer.from(entry.message.body).toString() : '';
    seen.push(entry.kind === 'stored' ? (/"status":"([A-Z]+)"/.exec(body)?.[1] ?? 'gone') : entry.kind);
  }
  return seen.filter((status, index) => status !== seen[index - 1]);
};

test('a flap within it is not to be seen, nor one after another', async () => {
  for (let flap = 0; flap < 3; flap += 1) {
    world.setReady(pod, false);
    await world.clock.advance(GRACE_MS - 2_000);
    world.setReady(pod, true);
    await world.clock.advance(GRACE_MS);
  }
  expect(statuses(0)).toEqual(['ACTIVE']);
});

test('a longer one is said when it is over, and not later', async () => {
  const sinceMs = world.clock.monotonicMs();
  world.setReady(pod, false);
  await world.clock.advance(GRACE_MS - 1_000);
  expect(statuses(sinceMs)).toEqual(['ACTIVE']);
  await world.clock.advance(3_000);
  expect(statuses(sinceMs)).toEqual(['ACTIVE', 'UNHEALTHY']);
  await world.clock.advance(40_000);
  expect(statuses(sinceMs).slice(0, 3)).toEqual(['ACTIVE', 'UNHEALTHY', 'lapsed']);
});

test('a leader that is killed meanwhile takes nothing of it away, nor does a new replica begin it anew', async () => {
  const sinceMs = world.clock.monotonicMs();
  world.setReady(pod, false);
  await world.clock.advance(2_000);
  for (const replica of [...world.replicas]) await world.kill(replica);
  // Nobody is left who saw the change.
  world.startReplica();
  await world.clock.advance(GRACE_MS - 2_000 - (world.clock.monotonicMs() - sinceMs));
  expect(statuses(sinceMs)).toEqual(['ACTIVE']);
  await world.clock.advance(4_500);
  expect(statuses(sinceMs)).toEqual(['ACTIVE', 'UNHEALTHY']);
});

test('a pod that is deleted meanwhile is said to be gone at once', async () => {
  const sinceMs = world.clock.monotonicMs();
  world.setReady(pod, false);
  await world.clock.advance(3_000);
  world.deletePod(pod);
  await world.clock.advance(1_000);
  expect(statuses(sinceMs).at(-1)).toBe('UNHEALTHY');
});
