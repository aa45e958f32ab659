// A Clock whose time moves only when a test says so. Several clocks (one per simulated process) can share one
// monotonic time line while each has its own wall clock. Runs timers one by one in order of time, then of creation,
// and lets every promise settle in between; so the same test always runs in the same order.

import type { Clock } from '../../src/clock.ts';

export type FakeClockOptions = {
  /** Where the wall clock stands at the beginning, ms since the epoch. */
  readonly wallMs?: number;
  /** Where the monotonic clock stands at the beginning: not 0, so that a forgotten start value shows. */
  readonly monotonicMs?: number;
};

/** More steps than this without time moving is a loop that sleeps 0 ms for ever. */
const STEPS_PER_INSTANT_MAX = 1_000_000;

export class FakeClock implements Clock {
  readonly #line: TimeLine;
  #wallOffsetMs: number;
  /** What falls due while the process is stopped; undefined: it runs. */
  #kept: (() => void)[] | undefined;

  constructor(options: FakeClockOptions = {}, line?: TimeLine) {
    this.#line = line ?? new TimeLine(options.monotonicMs ?? 1_000_000);
    this.#wallOffsetMs = (options.wallMs ?? Date.UTC(2026, 10, 23, 9, 0, 0)) - this.#line.nowMs;
  }

  /** Another process's clock on the same time line; its wall clock differs from this one's by `wallOffsetMs`. */
  fork(wallOffsetMs = 0): FakeClock {
    return new FakeClock({ wallMs: this.wallMs() + wallOffsetMs }, this.#line);
  }

  wallMs(): number {
    return Math.floor(this.#line.nowMs + this.#wallOffsetMs);
  }

  monotonicMs(): number {
    return this.#line.nowMs;
  }

  /** Several signals, for fakes: whichever aborts first. */
  sleep(ms: number, ...signals: readonly AbortSignal[]): Promise<void> {
    return new Promise((resolve) => {
      if (signals.some(({ aborted }) => aborted)) return resolve();
      const sleepers = signals.map(sleepersOf);
      const end = () => {
        for (const some of sleepers) some.delete(onAbort);
        resolve();
      };
      const onAbort = () => {
        this.#line.cancel(timer);
        end();
      };
      const timer = this.#line.after(ms, () => this.#run(end));
      for (const some of sleepers) some.add(onAbort);
    });
  }

  yield(): Promise<void> {
    return new Promise((resolve) => this.#line.onNextTurn(() => this.#run(resolve)));
  }

  /** Runs `action` after `ms`, for fakes that need a timer without a signal. Returns what cancels it. */
  after(ms: number, action: () => void): () => void {
    const timer = this.#line.after(ms, () => this.#run(action));
    return () => this.#line.cancel(timer);
  }

  /** SIGSTOP for the process whose clock this is: nothing in it falls due any more. Time goes on. */
  stopProcess(): void {
    this.#kept ??= [];
  }

  /** SIGCONT: all that fell due meanwhile does so now, in its order. */
  continueProcess(): void {
    const kept = this.#kept ?? [];
    this.#kept = undefined;
    for (const action of kept) this.#line.onNextTurn(action);
  }

  #run(action: () => void): void {
    if (this.#kept === undefined) action();
    else this.#kept.push(action);
  }

  /** Moves time by `ms`, running what falls due on the way; resolves when all of it has settled. */
  advance(ms: number): Promise<void> {
    return this.#line.runUntilTime(this.#line.nowMs + ms);
  }

  /** Lets promises and yields settle without moving time. Timers due now run. */
  settle(): Promise<void> {
    return this.advance(0);
  }

  /** Moves time from timer to timer until `condition` holds; throws when it does not within `limitMs`. Returns the ms it took. */
  async until(condition: () => boolean, limitMs: number): Promise<number> {
    const startedMs = this.#line.nowMs;
    await this.#line.runUntilTime(startedMs + limitMs, condition);
    if (!condition()) throw new Error(`condition does not hold after ${limitMs} ms of fake time`);
    return this.#line.nowMs - startedMs;
  }

  /** The wall clock jumps; durations do not notice. */
  jumpWall(ms: number): void {
    this.#wallOffsetMs += ms;
  }

  /** Timers that wait, on the whole time line: 0 after everything has ended, else something leaks. */
  pendingTimers(): number {
    return this.#line.pending();
  }
}

/**
 * Who sleeps until a signal aborts. One listener per signal rather than one per sleep: in a simulation, which sleeps
 * thousands of times, adding and removing them is a tenth of all its work.
 */
const SLEEPERS = new WeakMap<AbortSignal, Set<() => void>>();

const sleepersOf = (signal: AbortSignal): Set<() => void> => {
  let sleepers = SLEEPERS.get(signal);
  if (sleepers === undefined) {
    const some = new Set<() => void>();
    signal.addEventListener('abort', () => some.forEach((wake) => wake()), { once: true });
    SLEEPERS.set(signal, some);
    sleepers = some;
  }
  return sleepers;
};

type Timer = { readonly atMs: number; readonly order: number; readonly action: () => void; state: 'waits' | 'done' };

class TimeLine {
  nowMs: number;
  readonly #heap: Timer[] = [];
  #nextTurn: (() => void)[] = [];
  #order = 0;
  #cancelled = 0;
  #running = false;

  constructor(nowMs: number) {
    this.nowMs = nowMs;
  }

  after(ms: number, action: () => void): Timer {
    if (Number.isNaN(ms)) throw new Error('a timer of NaN ms');
    const timer: Timer = { atMs: this.nowMs + Math.max(0, ms), order: this.#order++, action, state: 'waits' };
    push(this.#heap, timer);
    return timer;
  }

  cancel(timer: Timer): void {
    if (timer.state === 'done') return;
    timer.state = 'done';
    this.#cancelled++;
    if (this.#cancelled > 1_000 && this.#cancelled > this.#heap.length / 2) this.#dropCancelled();
  }

  onNextTurn(action: () => void): void {
    this.#nextTurn.push(action);
  }

  pending(): number {
    return this.#heap.length - this.#cancelled;
  }

  async runUntilTime(endMs: number, condition?: () => boolean): Promise<void> {
    if (this.#running) throw new Error('the fake clock is being advanced already');
    this.#running = true;
    try {
      let steps = 0;
      let turns = 0;
      // A turn of the real event loop now and then, so that whoever runs the tests is heard. Ticks are cheaper.
      await new Promise((resolve) => setImmediate(resolve));
      for (;;) {
        // One tick drains all microtasks; each further one resumes those that yielded in the one before.
        await new Promise<void>((resolve) => process.nextTick(resolve));
        if (this.#nextTurn.length > 0) {
          if (++turns > STEPS_PER_INSTANT_MAX)
            throw new Error(`time stands still at ${this.nowMs} ms: a loop yields for ever`);
          const actions = this.#nextTurn;
          this.#nextTurn = [];
          for (const action of actions) action();
          continue;
        }
        turns = 0;
        if (condition?.() === true) return;
        const timer = this.#takeDue(endMs);
        if (timer === undefined) {
          this.nowMs = Math.max(this.nowMs, endMs);
          return;
        }
        steps = timer.atMs > this.nowMs ? 0 : steps + 1;
        if (steps > STEPS_PER_INSTANT_MAX) throw new Error(`time stands still at ${this.nowMs} ms: a loop sleeps 0 ms`);
        this.nowMs = Math.max(this.nowMs, timer.atMs);
        timer.action();
      }
    } finally {
      this.#running = false;
    }
  }

  #takeDue(endMs: number): Timer | undefined {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined || (first.atMs > endMs && first.state === 'waits')) return undefined;
      pop(this.#heap);
      if (first.state === 'waits') {
        first.state = 'done';
        return first;
      }
      this.#cancelled--;
    }
  }

  #dropCancelled(): void {
    const waiting = this.#heap.filter((timer) => timer.state === 'waits').sort((a, b) => (before(a, b) ? -1 : 1));
    this.#heap.splice(0, this.#heap.length, ...waiting);
    this.#cancelled = 0;
  }
}

const before = (a: Timer, b: Timer): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

function push(heap: Timer[], timer: Timer): void {
  let index = heap.length;
  heap.push(timer);
  while (index > 0) {
    const parentIndex = (index - 1) >> 1;
    const parent = heap[parentIndex];
    if (parent === undefined || !before(timer, parent)) break;
    heap[index] = parent;
    index = parentIndex;
  }
  heap[index] = timer;
}

function pop(heap: Timer[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let index = 0;
  for (;;) {
    const leftIndex = 2 * index + 1;
    const left = heap[leftIndex];
    if (left === undefined) break;
    const right = heap[leftIndex + 1];
    const [childIndex, child] = right !== undefined && before(right, left) ? [leftIndex + 1, right] : [leftIndex, left];
    if (!before(child, last)) break;
    heap[index] = child;
    index = childIndex;
  }
  heap[index] = last;
}
