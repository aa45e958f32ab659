// The fake clock itself: order, settling, wall offsets, leaks, speed.

import { describe, expect, test } from 'vitest';
import { FakeClock } from '../support/fake-clock.ts';

const never = new AbortController().signal;

describe('FakeClock', () => {
  test('runs timers in order of time, then of creation, each with its promises settled before the next', async () => {
    const clock = new FakeClock();
    const seen: string[] = [];
    const sleeper = async (name: string, ms: number) => {
      await clock.sleep(ms, never);
      seen.push(`${name}@${clock.monotonicMs() - 1_000_000}`);
      await Promise.resolve();
      await clock.yield();
      seen.push(`${name} settled`);
    };
    const done = [sleeper('b', 20), sleeper('a', 10), sleeper('c', 20)];
    await clock.advance(20);
    await Promise.all(done);
    expect(seen).toEqual(['a@10', 'a settled', 'b@20', 'b settled', 'c@20', 'c settled']);
    expect(clock.pendingTimers()).toBe(0);
  });

  test('a timer set on the way runs when it falls due within the advance', async () => {
    const clock = new FakeClock();
    let rounds = 0;
    const stop = new AbortController();
    const loop = (async () => {
      while (!stop.signal.aborted) {
        await clock.sleep(10, stop.signal);
        rounds++;
      }
    })();
    await clock.advance(100);
    expect(rounds).toBe(10);
    stop.abort();
    await loop;
    expect(clock.pendingTimers()).toBe(0);
  });

  test('an abort ends a sleep at once, an aborted signal never sleeps', async () => {
    const clock = new FakeClock();
    const stop = new AbortController();
    const sleeping = clock.sleep(1_000, stop.signal);
    stop.abort();
    await sleeping;
    await clock.sleep(1_000, stop.signal);
    expect(clock.monotonicMs()).toBe(1_000_000);
    expect(clock.pendingTimers()).toBe(0);
  });

  test('of several signals the first one ends the sleep, and the others wake nobody afterwards', async () => {
    const clock = new FakeClock();
    const [first, second] = [new AbortController(), new AbortController()];
    let wakes = 0;
    const sleeping = clock.sleep(1_000, first.signal, second.signal).then(() => wakes++);
    second.abort();
    await sleeping;
    first.abort();
    await clock.advance(2_000);
    expect(wakes).toBe(1);
    await clock.sleep(1_000, new AbortController().signal, second.signal);
    expect(clock.monotonicMs()).toBe(1_002_000);
    expect(clock.pendingTimers()).toBe(0);
  });

  test('forked clocks share the time line and differ in wall time; a jump moves one of them', async () => {
    const one = new FakeClock({ wallMs: 5_000 });
    const two = one.fork(250);
    one.jumpWall(-1_000);
    await two.advance(100);
    expect([one.wallMs(), two.wallMs()]).toEqual([4_100, 5_350]);
    expect(one.monotonicMs()).toBe(two.monotonicMs());
  });

  test('until stops at the timer that made the condition true', async () => {
    const clock = new FakeClock();
    let ready = false;
    clock.after(700, () => {
      ready = true;
    });
    expect(await clock.until(() => ready, 5_000)).toBe(700);
    await expect(clock.until(() => false, 100)).rejects.toThrow('does not hold after 100 ms');
  });

  test('cancelled timers neither run nor pile up', async () => {
    const clock = new FakeClock();
    let runs = 0;
    for (let i = 0; i < 10_000; i++) clock.after(60_000, () => runs++)();
    clock.after(60_000, () => runs++);
    expect(clock.pendingTimers()).toBe(1);
    await clock.advance(60_000);
    expect(runs).toBe(1);
  });

  test('two at once is an error', async () => {
    const clock = new FakeClock();
    const first = clock.advance(10);
    await expect(clock.advance(10)).rejects.toThrow('already');
    await first;
  });

  test('keeps order among many timers', async () => {
    const clock = new FakeClock();
    const seen: number[] = [];
    for (let i = 0; i < 2_000; i++) {
      const at = (i * 7_919) % 1_000;
      clock.after(at, () => seen.push(at));
    }
    await clock.advance(1_000);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen).toHaveLength(2_000);
  });
});
