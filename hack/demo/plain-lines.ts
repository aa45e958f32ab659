/** The demo without a terminal: each line of the chronicle as it comes, with the time since the start. */
import { paint } from '../../src/cli/text.ts';
import type { Line, Step } from './chronicle.ts';
import { lineOf, stepTitle } from './text.ts';

export function printPlain(step: Step, line: Line | undefined): void {
  if (line === undefined) {
    process.stdout.write(`\n${paint([stepTitle(step)])}\n`);
    return;
  }
  const at = `${(line.atMs / 1_000).toFixed(1).padStart(6)} s`;
  process.stdout.write(`${paint([[`${at}  `, 'dim'], ...lineOf(line)])}\n`);
}
