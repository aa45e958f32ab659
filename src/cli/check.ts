// One thing that was looked at, and what came of it: the common form of `doctor` and `bucket check`. Pure.

import { styleText } from 'node:util';

export type Verdict = 'ok' | 'warning' | 'failure';

export type Check = {
  readonly name: string;
  readonly verdict: Verdict;
  /** What was found, in a sentence. */
  readonly found: string;
  /** What to do about it; absent where nothing needs doing. */
  readonly advice?: string;
};

export const ok = (name: string, found: string): Check => ({ name, verdict: 'ok', found });
export const warning = (name: string, found: string, advice: string): Check => ({
  name,
  verdict: 'warning',
  found,
  advice,
});
export const failure = (name: string, found: string, advice: string): Check => ({
  name,
  verdict: 'failure',
  found,
  advice,
});

/** 0: all is well; 1: something is to be looked at; 2: something is broken. */
export const exitCodeOf = (checks: readonly Check[]): 0 | 1 | 2 => {
  if (checks.some(({ verdict }) => verdict === 'failure')) return 2;
  return checks.some(({ verdict }) => verdict === 'warning') ? 1 : 0;
};

const STYLES = { ok: 'green', warning: 'yellow', failure: 'red' } as const;
const NAME_COLUMN = 9;
/** Of the longest name there is, so that checks that are printed one by one stand in columns. */
const NAME_WIDTH = 11;

/** Each check on a line of its own, what to do about it below. */
export const checkLines = (checks: readonly Check[]): readonly string[] => {
  const width = Math.max(NAME_WIDTH, ...checks.map(({ name }) => name.length));
  return checks.flatMap(({ name, verdict, found, advice }) => [
    `${styleText(STYLES[verdict], verdict.padEnd(NAME_COLUMN))}${name.padEnd(width + 2)}${found}`,
    ...(advice === undefined ? [] : [`${' '.repeat(NAME_COLUMN + width + 2)}-> ${advice}`]),
  ]);
};
