/** What a measurement is given and what it gives back: figures, each with the target it is held to, if there is one. */

export type Bench = {
  /** Empty, of this measurement alone, removed afterwards. */
  readonly dir: string;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
};

export type Figure = {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly atLeast?: number;
  readonly atMost?: number;
};

export type Measured = {
  /** Merged into `.run/bench.json`. */
  readonly results: Readonly<Record<string, unknown>>;
  readonly figures: readonly Figure[];
};

export function holds({ value, atLeast, atMost }: Figure): boolean {
  return (atLeast === undefined || value >= atLeast) && (atMost === undefined || value <= atMost);
}
