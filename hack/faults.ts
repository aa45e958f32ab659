/**
 * `make faults`: plays the fault campaign on real processes, prints a table, writes `.run/faults.json` and a picture of
 * each case that failed, and ends with 1 when one did. `make test` plays the short selection, which writes
 * `.run/faults-short.json`. docs/developing.md says how to add a case.
 */
import { rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { type Outcome, playCampaign } from '../test/faults/campaign.ts';
import { allCases } from '../test/faults/cases/index.ts';
import { faultsOf, tableOf } from '../test/faults/report.ts';
import { runDir } from './control-plane/run-state.ts';
import { describeCampaign, writeFaultReport } from './faults-report.ts';

// At once: sockets that a fault left half open have been seen to keep Node busy at its own end.
process.exit(await main());

async function main(): Promise<number> {
  const options = {
    case: { type: 'string', default: '' },
    runs: { type: 'string', default: '1' },
    short: { type: 'boolean', default: false },
    draw: { type: 'boolean', default: false },
    minutes: { type: 'string', default: '60' },
  } as const;
  const { values } = parseArgs({ options });
  const wanted = values.case.split(',').filter((id) => id !== '');
  const unknown = wanted.find((id) => !allCases.some((one) => one.id === id));
  if (unknown !== undefined) {
    process.stderr.write(`faults: no case ${unknown}; there are ${allCases.map(({ id }) => id).join(', ')}\n`);
    return 2;
  }
  const minutes = Number(values.minutes);
  if (!(minutes >= 1)) {
    process.stderr.write('faults: MINUTES must be 1 or more\n');
    return 2;
  }
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1) {
    process.stderr.write('faults: RUNS must be a whole number, 1 or more\n');
    return 2;
  }
  // Servers and workers are guarded: they end with this process.
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => process.exit(130));
  const usual = allCases.filter(({ apart }) => apart !== true);
  const chosen = wanted.length > 0 ? allCases.filter(({ id }) => wanted.includes(id)) : usual;
  const cases = values.short && wanted.length === 0 ? chosen.filter(({ short }) => short === true) : chosen;
  const beginMs = performance.now();
  const say = (line: string) => process.stderr.write(`${clock(beginMs).padStart(6)}  ${line}\n`);
  const described = await describeCampaign();
  const pictures = join(runDir, 'faults');
  await rm(pictures, { recursive: true, force: true });
  const outcomes: Outcome[] = [];
  const file = join(runDir, values.short ? 'faults-short.json' : 'faults.json');
  await playCampaign({
    cases,
    runs,
    short: values.short,
    draw: values.draw,
    minutes,
    keepsLogs: true,
    dir: pictures,
    say,
    ended: (outcome) => {
      outcomes.push(outcome);
      // What was played counts, whatever ends the rest.
      writeFaultReport(file, { ...described, outcomes });
      say(`${outcome.id}  ${outcome.passed ? 'ok' : 'FAILED'} in ${Math.round(outcome.seconds)} s`);
      for (const fault of faultsOf(outcome)) say(`${outcome.id}    ${fault}`);
    },
  });
  process.stdout.write(`${tableOf(outcomes)}\n`);
  const failed = outcomes.filter(({ passed }) => !passed);
  for (const { picture } of failed) if (picture !== undefined) process.stdout.write(`drawn: ${here(picture)}\n`);
  const verdict = `${outcomes.length - failed.length} passed, ${failed.length} failed`;
  process.stdout.write(`${verdict} in ${clock(beginMs)}; ${here(file)} has it all.\n`);
  return failed.length === 0 && outcomes.length > 0 ? 0 : 1;
}

function here(path: string): string {
  return relative(process.cwd(), path);
}

function clock(sinceMs: number): string {
  const seconds = Math.round((performance.now() - sinceMs) / 1_000);
  return `${Math.trunc(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}
