/** Waiting on a condition with a deadline, for tests and scripts that watch real servers. Not for the operator. */
import { setTimeout as sleep } from 'node:timers/promises';

export type WaitOptions = {
  /** How long to try; default 10,000. */
  readonly deadlineMs?: number;
  /** Pause between two tries; default 50. */
  readonly intervalMs?: number;
  readonly signal?: AbortSignal | undefined;
};

/**
 * Calls `probe` until it returns something other than `undefined` or `false`, and returns that. A probe that throws
 * counts as "not yet"; its last error becomes the cause when the deadline passes.
 */
export async function waitFor<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  { deadlineMs = 10_000, intervalMs = 50, signal }: WaitOptions = {},
): Promise<T> {
  const end = performance.now() + deadlineMs;
  let cause: unknown;
  for (;;) {
    signal?.throwIfAborted();
    try {
      const result = await probe();
      if (result !== undefined && result !== false) return result;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (performance.now() > end) {
      const last = cause instanceof Error ? `; last error: ${cause.message}` : '';
      throw new Error(`waited ${deadlineMs} ms in vain for ${what}${last}`, { cause });
    }
    await sleep(intervalMs, undefined, signal ? { signal } : {});
  }
}
