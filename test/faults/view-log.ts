// What operators say in their logs about how well they hear the API server, by the wall clock of this machine.

import type { LogLine, OperatorProcess } from '../support/operator-process.ts';

const isAbout =
  (fresh: boolean) =>
  ({ msg, fresh: is }: LogLine): boolean =>
    msg === 'view of the cluster' && is === fresh;

/** When it first said, since then, that its view is old; NaN: it did not. */
export const blindSinceMs = (operator: OperatorProcess, sinceMs: number): number =>
  firstAt(operator, sinceMs, isAbout(false));

/** When it first said, since then, that its view is fresh again; NaN: it did not. */
export const seesSinceMs = (operator: OperatorProcess, sinceMs: number): number =>
  firstAt(operator, sinceMs, isAbout(true));

const firstAt = (operator: OperatorProcess, sinceMs: number, fits: (line: LogLine) => boolean): number => {
  const line = operator.log().find((one) => fits(one) && Date.parse(one.time) >= sinceMs);
  return line === undefined ? Number.NaN : Date.parse(line.time);
};
