// What people read of a campaign: the table, the sentences under it, and how figures are written. Nothing here judges.

import Table from 'cli-table3';
import type { Outcome } from './campaign.ts';
import { type Figure, holds } from './fault-case.ts';

const NAMED = 8;

export const tableOf = (outcomes: readonly Outcome[]): string => {
  const table = new Table({
    head: ['case', 'fault', 'figures', 'limits', 'verdict'],
    colWidths: [7, 40, 44, 14, 10],
    wordWrap: true,
    style: { head: [], border: [] },
  });
  for (const outcome of outcomes) {
    const { id, run, fault, figures, shortened, passed, seconds } = outcome;
    const what = [fault, ...(shortened === undefined ? [] : [`(${shortened})`]), `${Math.round(seconds)} s`].join('\n');
    table.push([
      run === 1 ? id : `${id} #${run}`,
      what,
      figures.map((figure) => `${figure.name} ${shown(figure.value, figure.unit)}`).join('\n'),
      figures.map(limitOf).join('\n'),
      passed ? 'ok' : 'FAILED',
    ]);
  }
  return table.toString();
};

/** Why it failed, in short; empty when it passed. */
export const faultsOf = (outcome: Outcome): readonly string[] => {
  const all = allFaultsOf(outcome);
  const rest = all.length > NAMED ? [`and ${all.length - NAMED} more, in the JSON`] : [];
  return [...all.slice(0, NAMED), ...rest];
};

export const allFaultsOf = (outcome: Outcome): readonly string[] => {
  const missed = outcome.figures
    .filter((figure) => !holds(figure))
    .map((figure) => `${figure.name} is ${shown(figure.value, figure.unit)}, not ${limitOf(figure)}`);
  const broken = outcome.violations.map(({ invariant, sentence }) => `${invariant}: ${sentence}`);
  return [...outcome.problems, ...missed, ...broken];
};

export const limitOf = ({ atMost, below, atLeast, unit }: Figure): string => {
  if (atMost !== undefined) return `<= ${shown(atMost, unit)}`;
  if (below !== undefined) return `< ${shown(below, unit)}`;
  return atLeast === undefined ? '-' : `>= ${shown(atLeast, unit)}`;
};

export const shown = (value: number, unit: string): string => {
  if (unit === 'ms' && value >= 10_000) return `${(value / 1_000).toFixed(1)} s`;
  return `${Math.round(value).toLocaleString('en')} ${unit}`.trimEnd();
};
