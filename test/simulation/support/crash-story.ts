// One story of a few seconds for crashes at any of its awaits: a replica takes over from a dead leader, reads back,
// registers, changes, promotes, says farewell; and is no more from the k-th await on. What is compared is what a person
// would find at the end, without what depends on when it was written.

import { asList, asObject } from '../../../src/domain/raw.ts';
import type { FakeClock } from '../../support/fake-clock.ts';
import { FakeRegistry } from '../../support/fake-registry.ts';
import type { FakeStream } from '../../support/fake-stream.ts';
import { CrashingRegistry, CrashPoint, connectionWithCrashes, withCrashes } from './crash-point.ts';
import { Judge } from './judge.ts';
import { seeded } from './seeded.ts';
import { PLAIN, REGISTRATIONS, type Spec, type Truth, World } from './world.ts';

const SPEC: Spec = { ...PLAIN, ttlSeconds: 6, refreshIntervalSeconds: 2 };
/** Of the story in which the crash may come. */
const STORY_MS = 2_500;
/** The lock lapses, another takes over; what says farewell lapses; what is told is told. */
const END_MS = 18_000;

/** The replica that crashes: the first one has led before it. */
const SUBJECT = 'replica-2';

type End = { readonly keys: unknown; readonly statuses: unknown; readonly gates: unknown };

/**
 * Plays the story with a crash at the k-th await. Returns its end, how many awaits there were, and those of them at which
 * a crash is not the same as at the one before.
 */
export const playCrash = async (
  k: number,
): Promise<{ readonly end: End; readonly awaits: number; readonly distinct: readonly number[] }> => {
  // It may come while the replica is being started.
  let isDue = false;
  let crash = (): void => {
    isDue = true;
  };
  const point = new CrashPoint(
    k,
    () => crash(),
    () => world.clock.monotonicMs(),
  );
  const connect = (stream: FakeStream, name: string, clock: FakeClock) =>
    name === SUBJECT ? new CrashingRegistry(stream, name, clock, point) : new FakeRegistry(stream, name, clock);
  const world = new World(seeded(1), connect, seeded(2));
  const judge = new Judge(world);
  const pods = before(world);
  const first = world.startReplica();
  await world.clock.advance(1_000);
  await world.kill(first);
  // Nobody sees this one go.
  world.deletePod(pods[0]);
  await world.clock.advance(6_500);

  const fork = world.clock.fork.bind(world.clock);
  const apiConnect = world.api.connect.bind(world.api);
  world.clock.fork = (offset) => withCrashes(fork(offset), point);
  world.api.connect = (clock) => connectionWithCrashes(apiConnect(clock), point);
  const replica = world.startReplica();
  world.clock.fork = fork;
  world.api.connect = apiConnect;
  crash = () => {
    replica.clock.stopProcess();
    replica.registry.setLink('disconnected');
    replica.api.faults.cut();
    world.giveUp(replica);
    world.startReplica();
  };
  if (isDue) crash();
  const startedMs = world.clock.monotonicMs();
  for (const [atMs, happen] of story(world, pods)) {
    await world.clock.advance(startedMs + atMs - world.clock.monotonicMs());
    happen();
  }
  await world.clock.advance(startedMs + STORY_MS - world.clock.monotonicMs());
  const awaits = point.passed;
  const distinct = point.distinct.filter((at) => at <= awaits);
  await world.clock.advance(startedMs + END_MS - world.clock.monotonicMs());
  judge.disturbedUntilMs = world.clock.monotonicMs();
  judge.check();
  return { end: endOf(world, pods), awaits, distinct };
};

const before = (world: World): readonly [Truth, Truth, Truth, Truth] => {
  world.setSpec(SPEC);
  const pod = (name: string, gated = false) => world.addPod(name, true, gated);
  return [pod('goes-unseen'), pod('stays'), pod('goes'), pod('flaps')];
};

const story = (
  world: World,
  [, , goes, flaps]: readonly [Truth, Truth, Truth, Truth],
): readonly (readonly [number, () => void])[] => [
  [300, () => world.addPod('comes', true, true)],
  [600, () => world.setReady(flaps, false)],
  [1_000, () => world.setSpec({ ...SPEC, keyLayout: 'Underscore', metadata: { team: 'red' } })],
  [1_400, () => world.setSpec({ ...SPEC, keyLayout: 'Underscore', stickyActiveGroup: 'blue' })],
  [1_800, () => world.deletePod(goes)],
  [2_200, () => world.setReady(flaps, true)],
  [2_300, () => world.addPod('goes', true, false)],
];

/** What a person would find, without what depends on when it was written. */
const endOf = (world: World, pods: readonly Truth[]): End => {
  const keys = world.stream.messages('$KV.service-registry.>').flatMap(({ operation, subject, body, ttlSeconds }) => {
    if (operation !== 'PUT') return [];
    const value = asObject(JSON.parse(Buffer.from(body).toString())) ?? {};
    const metadata = { ...asObject(value['metadata']), stickyTerm: undefined };
    return [[subject, ttlSeconds, { ...value, metadata, lastHeartbeat: undefined }] as const];
  });
  const statuses = REGISTRATIONS.map((name) =>
    undated(world.api.get('ServiceRegistration', 'default', name)?.['status']),
  );
  const gates = world.livingPods.map((pod) => [pod.name, world.gateOf(pod)?.['status']]);
  return { keys: keys.sort(([a], [b]) => (a < b ? -1 : 1)), statuses, gates: [gates, pods.length] };
};

const DATES = new Set(['lastTransitionTime', 'since', 'lastAppliedTime']);

const undated = (value: unknown): unknown => {
  if (Array.isArray(value)) return asList(value).map(undated);
  const object = asObject(value);
  if (object === undefined) return value;
  return Object.fromEntries(
    Object.entries(object).flatMap(([name, one]) => (DATES.has(name) ? [] : [[name, undated(one)]])),
  );
};
