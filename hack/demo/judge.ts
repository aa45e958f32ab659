/** Waits for what a step must show, takes the time and says so in the chronicle. The first thing not seen ends the story. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Chronicle } from './chronicle.ts';

/** A step did not show what it should have shown; the chronicle has the details. */
export class NotSeen extends Error {}

/** Kubernetes itself is not on trial: its part may take long on a busy machine. */
const CAUSE_DEADLINE_MS = 90_000;
/** What comes too late is still waited for this long, so that the time can be told. */
const LATE_MS = 10_000;
const LOOK_EVERY_MS = 20;

export class Judge {
  readonly #chronicle: Chronicle;
  readonly #signal: AbortSignal;

  constructor(chronicle: Chronicle, signal: AbortSignal) {
    this.#chronicle = chronicle;
    this.#signal = signal;
  }

  /** Waits for something that must be so before an effect can be expected. No time of it is judged. */
  async cause(what: string, holds: () => boolean): Promise<void> {
    const seen = await this.#until(what, undefined, CAUSE_DEADLINE_MS, () => (holds() ? 0 : undefined));
    if (seen === undefined) this.#missed(what, undefined, CAUSE_DEADLINE_MS);
  }

  /** `tookMs` gives the time from cause to effect as soon as the effect is there. */
  async effect(what: string, limitMs: number, tookMs: () => number | undefined): Promise<void> {
    const took = await this.#until(what, limitMs, limitMs + LATE_MS, tookMs);
    if (took === undefined) this.#missed(what, limitMs, limitMs + LATE_MS);
    else this.verdict(what, took < limitMs, took, limitMs);
  }

  /** Something that is judged by itself, with or without a time. */
  verdict(what: string, ok: boolean, tookMs?: number, limitMs?: number): void {
    this.#chronicle.finding({ what, ok, tookMs, limitMs });
    if (!ok) throw new NotSeen(what);
  }

  #missed(what: string, limitMs: number | undefined, waitedMs: number): never {
    const text = `${what}: not seen in ${waitedMs / 1_000} s`;
    this.#chronicle.finding({ what: text, ok: false, tookMs: undefined, limitMs });
    throw new NotSeen(text);
  }

  #until(what: string, limitMs: number | undefined, deadlineMs: number, probe: () => number | undefined) {
    const end = performance.now() + deadlineMs;
    return this.#chronicle.during(what, limitMs, async () => {
      for (;;) {
        const found = probe();
        if (found !== undefined || performance.now() > end) return found;
        await sleep(LOOK_EVERY_MS, undefined, { signal: this.#signal });
      }
    });
  }
}

/** From one moment to another; 0 when the two streams of news crossed; undefined while one of them is to come. */
export function between(fromMs: number | undefined, toMs: number | undefined): number | undefined {
  return fromMs === undefined || toMs === undefined ? undefined : Math.max(0, toMs - fromMs);
}

/** The longest of all; undefined while one of them, or everything, is to come. */
export function slowest(times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 || known.length < times.length ? undefined : Math.max(...known);
}
