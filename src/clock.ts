// Time and chance as the rest of the code sees them. Nothing else may read a clock, start a timer or roll dice:
// the simulation replaces both, and durations must never be measured on a wall clock that jumps.

export type Clock = {
  /** Wall time in ms since the epoch. Only ever printed (`lastHeartbeat`, conditions, events), never compared. */
  wallMs(): number;
  /** Monotonic time in ms from an arbitrary origin. Every duration is a difference of two of these. */
  monotonicMs(): number;
  /** Resolves after `ms`, or at once when `signal` aborts. Never rejects: look at the signal afterwards. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** Lets pending I/O run: a macrotask turn. Long synchronous work calls this every few milliseconds. */
  yield(): Promise<void>;
};

/** A number in [0, 1). */
export type Random = () => number;

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener('abort', done, { once: true });
    }),
  yield: () => new Promise((resolve) => setImmediate(resolve)),
};

export const systemRandom: Random = Math.random;
