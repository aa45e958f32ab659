// Holds the fake registry to the contract, and its faults to what they promise.

import { describe, expect, test } from 'vitest';
import { purge, put, registryContract, revisionOf } from '../contract/registry.contract.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { FakeRegistry } from '../support/fake-registry.ts';
import { FakeStream } from '../support/fake-stream.ts';

const BUCKET = 'bucket';
const LOCK = `$ROLLCALL.${BUCKET}.operator.lock`;
const KEY = `$KV.${BUCKET}.service-instances.service.a`;

registryContract('the fake', async () => {
  const world = await aWorld();
  return {
    registry: world.client,
    other: world.other,
    bucket: BUCKET,
    putByStranger: async (key, body) => void world.stream.put(`$KV.${BUCKET}.${key}`, body),
    run: world.run,
    sleep: (ms) => world.clock.advance(ms),
    close: async () => {
      world.stream.close();
      await world.clock.advance(60_000);
      expect(world.clock.pendingTimers()).toBe(0);
    },
  };
});

describe('faults of the fake', () => {
  test('disconnected: retry at once, reads fail, listeners hear both changes', async () => {
    const { client, run, signal } = await aWorld();
    const changes: boolean[] = [];
    client.onConnectionChange((connected) => changes.push(connected));
    client.setLink('disconnected');
    expect((await run(client.commit([put(KEY, 0)], signal))).kind).toBe('retry');
    await expect(run(client.read([KEY], signal))).rejects.toMatchObject({ kind: 'transient' });
    client.setLink('up');
    expect((await run(client.commit([put(KEY, 0)], signal))).kind).toBe('committed');
    expect(changes).toEqual([false, true]);
  });

  test('stalled: the outcome is unknown after 2 s; stored, stored late or never, by chance', async () => {
    const fates = new Set<string>();
    for (let seed = 0; seed < 30; seed++) {
      const { client, stream, clock, run, signal } = await aWorld(seed);
      client.setLink('stalled');
      const startedMs = clock.monotonicMs();
      expect((await run(client.commit([put(KEY, 0)], signal))).kind).toBe('unknown');
      expect(clock.monotonicMs() - startedMs).toBeLessThanOrEqual(2_000);
      const storedAtOnce = stream.last(KEY) !== undefined;
      await clock.advance(30_000);
      const stored = stream.history().some(({ kind }) => kind === 'stored');
      fates.add(storedAtOnce ? 'stored' : stored ? 'late' : 'lost');
    }
    expect([...fates].sort()).toEqual(['late', 'lost', 'stored']);
  });

  test('a late batch of a stale lock is refused', async () => {
    for (let seed = 0; seed < 30; seed++) {
      const { client, other, stream, clock, run, signal } = await aWorld(seed);
      const first = revisionOf(await run(client.commit([put(LOCK, 0), put(KEY, 0)], signal)));
      client.setLink('stalled');
      const stale = client.commit([put(LOCK, first - 1), put(KEY, first)], signal);
      await run(stale);
      const [lock] = await run(other.read([LOCK], signal));
      revisionOf(await run(other.commit([put(LOCK, lock?.revision ?? 0)], signal)));
      const writtenBefore = stream.history().length;
      await clock.advance(25_000);
      const later = stream.history().slice(writtenBefore);
      expect(later.filter((entry) => entry.kind === 'stored' && entry.by === client.name)).toEqual([]);
    }
  });

  test('a stall is noticed as a lost connection, and a follower catches up afterwards', async () => {
    const { client, other, clock, run, signal } = await aWorld();
    const seen: number[] = [];
    void client.follow(LOCK, ({ revision }) => seen.push(revision), signal);
    const first = revisionOf(await run(client.commit([put(LOCK, 0)], signal)));
    await clock.advance(10);
    client.setLink('stalled');
    const second = revisionOf(await run(other.commit([put(LOCK, first)], signal)));
    const third = revisionOf(await run(other.commit([put(LOCK, second)], signal)));
    await clock.advance(3_000);
    expect(client.connected()).toBe(false);
    expect(seen).toEqual([first]);
    client.setLink('up');
    await clock.advance(10);
    expect(seen).toEqual([first, third]);
  });

  test('a commit whose link breaks under it is unknown at once, stored or not', async () => {
    const { client, clock, stream, run, signal } = await aWorld();
    const committing = client.commit([put(KEY, 0)], signal);
    client.setLink('disconnected');
    expect((await run(committing)).kind).toBe('unknown');
    await clock.advance(100);
    expect(stream.last(KEY)).toBeDefined();
  });

  test('the log tells every message, by whom and in which batch, and every lapse', async () => {
    const { client, stream, clock, run, signal } = await aWorld();
    const first = revisionOf(await run(client.commit([put(LOCK, 0), put(KEY, 0, { ttlSeconds: 1 })], signal)));
    await clock.advance(1_500);
    stream.put(`$KV.${BUCKET}.definition`, '{}');
    await run(client.commit([purge(LOCK, first - 1, 1)], signal));
    await clock.advance(1_500);
    stream.close();
    expect(
      stream
        .history()
        .map((entry) => (entry.kind === 'stored' ? [entry.message.operation, entry.by, entry.batch] : entry.kind)),
    ).toEqual([
      ['PUT', client.name, 1],
      ['PUT', client.name, 1],
      'lapsed',
      ['MaxAge', 'server', 0],
      ['PUT', 'foreign', 0],
      ['PURGE', client.name, 2],
      'lapsed',
    ]);
  });

  test('a stream that was made anew is another incarnation and starts at revision 1', async () => {
    const { client, stream, run, signal } = await aWorld();
    revisionOf(await run(client.commit([put(LOCK, 0), put(KEY, 0)], signal)));
    const before = await run(client.inspect(signal));
    stream.remake();
    const after = await run(client.inspect(signal));
    expect(after).toMatchObject({ kind: 'usable', lastRevision: 0, messages: 0 });
    expect(after.kind === 'usable' && after.incarnation).not.toBe(before.kind === 'usable' && before.incarnation);
    expect(revisionOf(await run(client.commit([put(KEY, 0)], signal)))).toBe(1);
  });
});

async function aWorld(seed = 1) {
  const clock = new FakeClock();
  const stream = new FakeStream(clock, aRandom(seed), BUCKET);
  const client = new FakeRegistry(stream, 'client');
  const other = new FakeRegistry(stream, 'other');
  const { signal } = new AbortController();
  const run = async <T>(promise: Promise<T>): Promise<T> => {
    let settled = false;
    const settle = () => {
      settled = true;
    };
    promise.then(settle, settle);
    await clock.until(() => settled, 60_000);
    return promise;
  };
  await run(client.inspect(signal));
  await run(other.inspect(signal));
  return { clock, stream, client, other, signal, run };
}

/** A small generator (mulberry32) with a seed, so that a failure repeats. */
function aRandom(seed: number) {
  let state = seed * 0x9e3779b9;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
