// What a case of the campaign is: the fault, the stage it needs, and the figures by which it is judged beside the standing
// ones. The cases themselves stand in `cases/`, one small file per thing that breaks.

import type { Play } from './play.ts';
import type { StageNeeds } from './stage.ts';

export type FaultCase = {
  /** As on the reliability page. */
  readonly id: string;
  readonly fault: string;
  readonly stage: StageNeeds;
  /** About how long it takes, for the progress. */
  readonly seconds: number;
  /** What was made shorter than the page says, and why the case keeps its meaning. */
  readonly shortened?: string;
  /** Part of the selection of `SHORT=1`, where `play.short` tells the case to do less. */
  readonly short?: true;
  /** Only played when it is asked for by name: it lasts long, or as many minutes as it is given. */
  readonly apart?: true;
  /** Lapses that no invariant forbids (a registry that is away for too long) are shown, and judged here if there is a limit. */
  readonly lapsesAtMost?: number;
  readonly oldestRefreshBelowMs?: number;
  /** What the page promises in this case in the place of the p99s of I2 and I4. */
  readonly visibleP99Ms?: number;
  /** Never left as it was found: the next case gets a stage of its own. */
  readonly leaves?: 'ruins';
  readonly run: (play: Play) => Promise<readonly Figure[]>;
};

/** Without a limit it is only shown. */
export type Figure = {
  readonly name: string;
  readonly value: number;
  readonly unit: 'ms' | 'MiB' | '';
  readonly atMost?: number;
  readonly below?: number;
  readonly atLeast?: number;
};

export const holds = ({ value, atMost, below, atLeast }: Figure): boolean =>
  Number.isFinite(value) &&
  (atMost === undefined || value <= atMost) &&
  (below === undefined || value < below) &&
  (atLeast === undefined || value >= atLeast);

/** A list of durations as its largest (nearest rank for the p99), held against a limit. */
export const longest = (name: string, samplesMs: readonly number[], atMostMs: number): Figure => ({
  name,
  value: samplesMs.length === 0 ? Number.NaN : Math.max(...samplesMs),
  unit: 'ms',
  atMost: atMostMs,
});
