/**
 * `make faults-planted`: whether the fault campaign would notice. Plants one bug after the other in a copy of the sources,
 * plays the case that is to catch it against operators of that copy, and prints which case caught which, and by what. Ends
 * with 1 when one was not caught. The bugs are in test/faults/planted/.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { type Outcome, playCampaign } from '../test/faults/campaign.ts';
import { allCases } from '../test/faults/cases/index.ts';
import { plantIn } from '../test/faults/planted/copy.ts';
import { type Plant, plants } from '../test/faults/planted/plants.ts';
import { allFaultsOf } from '../test/faults/report.ts';
import { runDir } from './control-plane/run-state.ts';

type Verdict = {
  readonly plant: Pick<Plant, 'id' | 'bug' | 'caughtBy'>;
  readonly caught: boolean;
  /** What the case said; of one that is not caught, all that it said. */
  readonly said: readonly string[];
  readonly seconds: number;
};

const SAID_MAX = 2;
const dir = join(runDir, 'planted');

// At once: sockets that a fault left half open have been seen to keep Node busy at its own end.
process.exit(await main());

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { plant: { type: 'string', default: '' } } });
  const wanted = values.plant.split(',').filter((id) => id !== '');
  const unknown = wanted.find((id) => !plants.some((one) => one.id === id));
  if (unknown !== undefined) {
    process.stderr.write(`faults-planted: no plant ${unknown}; there are ${plants.map(({ id }) => id).join(', ')}\n`);
    return 2;
  }
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => process.exit(130));
  const chosen = wanted.length === 0 ? plants : plants.filter(({ id }) => wanted.includes(id));
  const verdicts: Verdict[] = [];
  for (const plant of chosen) {
    const verdict = await judge(plant);
    verdicts.push(verdict);
    process.stderr.write(`${plant.bug}: ${verdict.caught ? 'caught' : 'NOT CAUGHT'} in ${verdict.seconds} s\n`);
  }
  await rm(dir, { recursive: true, force: true });
  await mkdir(runDir, { recursive: true });
  const file = join(runDir, 'faults-planted.json');
  await writeFile(file, `${JSON.stringify(verdicts, undefined, 2)}\n`);
  process.stdout.write(`${tableOf(verdicts)}\n`);
  const missed = verdicts.filter(({ caught }) => !caught);
  process.stdout.write(
    `${verdicts.length - missed.length} of ${verdicts.length} caught; ${relative(process.cwd(), file)} has it all.\n`,
  );
  return missed.length === 0 && verdicts.length > 0 ? 0 : 1;
}

async function judge(plant: Plant): Promise<Verdict> {
  const beginMs = performance.now();
  const said = await play(plant);
  const telling = said.filter((sentence) => plant.shows.test(sentence));
  const { id, bug, caughtBy } = plant;
  const caught = telling.length > 0;
  const seconds = Math.round((performance.now() - beginMs) / 1_000);
  return { plant: { id, bug, caughtBy }, caught, said: caught ? telling : said, seconds };
}

/** All that the case has against the operators of that copy. */
async function play(plant: Plant): Promise<readonly string[]> {
  const one = allCases.find(({ id }) => id === plant.caughtBy);
  if (one === undefined) throw new Error(`there is no case ${plant.caughtBy}`);
  const source = await plantIn(dir, plant);
  const outcomes: Outcome[] = [];
  try {
    await playCampaign({
      cases: [{ ...one, stage: { ...one.stage, source } }],
      runs: 1,
      short: true,
      draw: false,
      keepsLogs: false,
      dir: join(dir, 'pictures'),
      say: (line) => process.stderr.write(`${plant.id}  ${line}\n`),
      ended: (outcome) => outcomes.push(outcome),
    });
  } catch (error) {
    return [sentenceOf(error)];
  }
  return outcomes.flatMap(allFaultsOf);
}

function sentenceOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Those of other processes come with the stack.
  const [message = ''] = error.message.split('\n');
  return error.cause === undefined ? message : `${message}: ${sentenceOf(error.cause)}`;
}

function tableOf(verdicts: readonly Verdict[]): string {
  const table = new Table({
    head: ['planted bug', 'case', 'caught by', 'verdict'],
    colWidths: [30, 7, 70, 12],
    wordWrap: true,
    style: { head: [], border: [] },
  });
  for (const { plant, caught, said } of verdicts) {
    const by = said.slice(0, SAID_MAX).join('\n');
    table.push([plant.bug, plant.caughtBy, by, caught ? 'caught' : 'NOT CAUGHT']);
  }
  return table.toString();
}
