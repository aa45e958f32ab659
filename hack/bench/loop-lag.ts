/**
 * How long an event loop makes others wait. A timer asks every two milliseconds; when it comes late, all the askings
 * that should have been in between count as well, each with its own wait: so the p99 is that of somebody who arrives
 * at any moment, not that of the few timers that a long block lets through.
 */
import { percentile } from './statistics.ts';

const EVERY_MS = 2;

export type LoopLag = { readonly p99Ms: number; readonly maxMs: number; readonly samples: number };

/** Watches the loop of this process until the function it returns is called. */
export function watchLoop(): () => LoopLag {
  const waits: number[] = [];
  let dueMs = performance.now() + EVERY_MS;
  const timer = setInterval(look, EVERY_MS);
  function look(): void {
    const nowMs = performance.now();
    for (let lateMs = Math.max(0, nowMs - dueMs); lateMs >= 0; lateMs -= EVERY_MS) waits.push(lateMs);
    dueMs = nowMs + EVERY_MS;
  }
  return () => {
    clearInterval(timer);
    look();
    return { p99Ms: percentile(waits, 0.99), maxMs: percentile(waits, 1), samples: waits.length };
  };
}
