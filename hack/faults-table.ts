/**
 * Writes docs/fault-campaign.md from reports of `make faults` (`.run/faults.json`), one or several of the same sources:
 * `node hack/faults-table.ts FILE...`. Refuses reports of different sources, and says which cases are missing.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Outcome } from '../test/faults/campaign.ts';
import { allCases } from '../test/faults/cases/index.ts';
import type { Figure } from '../test/faults/fault-case.ts';
import { limitOf, shown } from '../test/faults/report.ts';
import type { FaultReport } from './faults-report.ts';
import { root } from './generated-file.ts';

const PATH = 'docs/fault-campaign.md';

async function main(files: readonly string[]): Promise<number> {
  const reports = await Promise.all(files.map(async (file) => JSON.parse(await readFile(file, 'utf8')) as FaultReport));
  const [first] = reports;
  if (first === undefined) {
    process.stderr.write('faults-table: name one or more reports, as make faults leaves them in .run/faults.json\n');
    return 2;
  }
  const other = reports.find(({ sources }) => sources !== first.sources);
  if (other !== undefined) {
    process.stderr.write(`faults-table: ${other.commit} has other sources than ${first.commit}\n`);
    return 2;
  }
  const outcomes = reports.flatMap((report) => report.outcomes);
  const missing = allCases.filter(({ id }) => !outcomes.some((outcome) => outcome.id === id)).map(({ id }) => id);
  if (missing.length > 0) process.stderr.write(`faults-table: not played: ${missing.join(', ')}\n`);
  await writeFile(join(root, PATH), pageOf(reports, outcomes));
  process.stderr.write(`wrote ${PATH}\n`);
  return 0;
}

function pageOf(reports: readonly FaultReport[], outcomes: readonly Outcome[]): string {
  const failed = outcomes.filter(({ passed }) => !passed).length;
  const rows = allCases.flatMap((one) => {
    const plays = outcomes.filter(({ id }) => id === one.id);
    return plays.length === 0 ? [] : [rowOf(plays)];
  });
  return `# The fault campaign, as last played

What \`make faults\` saw: each case on real processes, with 1,000 Ready pods, two operators, churn of five pods a second and
keys of others, unless the case says otherwise; judged by an observer in a process of its own. What the invariants are and
how the campaign works: [developing](developing.md#the-fault-campaign). Written by \`hack/faults-table.ts\` from the reports.

| | |
|---|---|
| played | ${reports.map(({ at, commit }) => `${at.slice(0, 16).replace('T', ' ')} UTC at ${commit}`).join('; ')} |
| machine | ${distinct(reports.map(machineOf))}; load at the start ${reports.map(({ machine }) => machine.loadAtStart.toFixed(1)).join(', ')} |
| versions | ${distinct(reports.map(versionsOf))} |
| plays | ${outcomes.length}, of which ${failed} failed |

Of a case that was played more than once the figures of all plays stand side by side. A figure without a limit is only shown.

| case | fault | figures | verdict |
|---|---|---|---|
${rows.join('\n')}
`;
}

function rowOf(plays: readonly Outcome[]): string {
  const [first] = plays;
  if (first === undefined) throw new Error('a case that was not played has no row');
  const what =
    first.shortened === undefined ? first.fault : `${first.fault} (shorter than promised: ${first.shortened})`;
  const figures = first.figures.map((figure) => {
    const seen = plays.map(({ figures: all }) => all.find((one) => nameOf(one) === nameOf(figure)));
    const values = seen.map((one) => (one === undefined ? 'none' : shown(one.value, one.unit)));
    return `${nameOf(figure)}: ${values.join(' / ')}${limitText(figure)}`;
  });
  const verdict = plays.map(({ passed }) => (passed ? 'ok' : 'FAILED')).join(' / ');
  return `| ${[first.id, what, figures.join('<br>'), verdict].map(cell).join(' | ')} |`;
}

const machineOf = ({ machine: { cores, cpu, memoryGiB, platform } }: FaultReport): string =>
  `${cores} cores of ${cpu}, ${memoryGiB} GiB, ${platform}`;

const versionsOf = ({ versions }: FaultReport): string =>
  Object.entries(versions)
    .map(([name, version]) => `${name} ${version}`)
    .join(', ');

const distinct = (texts: readonly string[]): string => [...new Set(texts)].join('; ');

/** How many there were differs from play to play. */
const nameOf = ({ name }: Figure): string => name.replace(/p99 of \d+$/, 'p99');

const limitText = (figure: Figure): string => (limitOf(figure) === '-' ? '' : ` (${limitOf(figure)})`);

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

process.exitCode = await main(process.argv.slice(2));
