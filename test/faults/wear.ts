// Whether a process wears out: what it holds, looked at every ten seconds of a long case, and whether that grew.

import { readdirSync, readFileSync } from 'node:fs';
import type { OperatorProcess } from '../support/operator-process.ts';
import type { Figure } from './fault-case.ts';
import { nowMs, pause } from './monotonic.ts';
import { heldBy } from './operator-hand.ts';
import { percentile } from './percentile.ts';

const EVERY_MS = 10_000;
const HOUR_MS = 3_600_000;

export type Look = {
  readonly atMs: number;
  readonly memoryMiB: number;
  readonly files: number;
  readonly handles: number;
  readonly timers: number;
};
type Measure = Exclude<keyof Look, 'atMs'>;

/** How much more the median of the last quarter may be than that of the second; a leader holds more than a standby. */
const GROWTH_MAX: Readonly<Record<Measure, number>> = { memoryMiB: 24, files: 4, handles: 4, timers: 8 };
const NAMES: Readonly<Record<Measure, string>> = {
  memoryMiB: 'memory',
  files: 'open files',
  handles: 'handles',
  timers: 'timers',
};
const MEASURES: readonly Measure[] = ['memoryMiB', 'files', 'handles', 'timers'];

export class Wear {
  readonly #looks: Look[] = [];
  readonly #stop = new AbortController();
  readonly #looking: Promise<void>;

  /** @param dir of the hand inside the operator, which must not end meanwhile */
  constructor(operator: OperatorProcess, dir: string) {
    this.#looking = this.#look(operator, dir);
  }

  async figures(): Promise<readonly Figure[]> {
    this.#stop.abort();
    await this.#looking;
    return wearOf(this.#looks);
  }

  async #look(operator: OperatorProcess, dir: string): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const { pid } = operator;
      const [, kib = '0'] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
      const files = readdirSync(`/proc/${pid}/fd`).length;
      const { handles, timers } = await heldBy(operator, dir);
      this.#looks.push({ atMs: nowMs(), memoryMiB: Number(kib) / 1_024, files, handles, timers });
      await pause(EVERY_MS);
    }
  }
}

/** Per measure its slope, and by how much it grew from the second quarter to the last: the first is for warming up. */
export const wearOf = (looks: readonly Look[]): readonly Figure[] => {
  const quarter = Math.trunc(looks.length / 4);
  const median = (some: readonly Look[], measure: Measure) =>
    percentile(
      some.map((look) => look[measure]),
      0.5,
    );
  return MEASURES.flatMap((measure) => {
    const growth = median(looks.slice(-quarter), measure) - median(looks.slice(quarter, 2 * quarter), measure);
    const unit = measure === 'memoryMiB' ? 'MiB' : '';
    return [
      { name: `${NAMES[measure]}: slope per hour`, value: slope(looks.slice(quarter), measure), unit },
      { name: `${NAMES[measure]}: last quarter over second`, value: growth, unit, atMost: GROWTH_MAX[measure] },
    ] satisfies Figure[];
  });
};

/** Least squares, per hour. */
const slope = (looks: readonly Look[], measure: Measure): number => {
  const mean = (of: (look: Look) => number) => looks.reduce((sum, look) => sum + of(look), 0) / looks.length;
  const [meanMs, meanValue] = [mean(({ atMs }) => atMs), mean((look) => look[measure])];
  const covariance = mean(({ atMs, ...look }) => (atMs - meanMs) * (look[measure] - meanValue));
  const variance = mean(({ atMs }) => (atMs - meanMs) ** 2);
  return variance === 0 ? 0 : (covariance / variance) * HOUR_MS;
};
