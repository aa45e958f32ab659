/**
 * `make bench`: measures what the project promises, prints one table, writes `.run/bench.json` and ends with 1 when a
 * target is missed. One measurement at a time. docs/benchmarks.md says how to read it.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { VERSION } from '../src/version.ts';
import { type Figure, holds, type Measured } from './bench/bench.ts';
import { measureFenced } from './bench/fenced.ts';
import { measureFirstSync } from './bench/first-sync.ts';
import { measureLeaseLoad } from './bench/lease-load.ts';
import { measureMemory } from './bench/memory.ts';
import { measureReadyToVisible } from './bench/ready-to-visible.ts';
import { measureStart } from './bench/start.ts';
import { describeMachine, serverVersions } from './bench/versions.ts';
import { runDir } from './control-plane/run-state.ts';

const MEASUREMENTS = {
  fenced: measureFenced,
  readyToVisible: measureReadyToVisible,
  firstSync: measureFirstSync,
  start: measureStart,
  memory: measureMemory,
  leases: measureLeaseLoad,
} as const;
type Name = keyof typeof MEASUREMENTS;
const NAMES = Object.keys(MEASUREMENTS).filter(isName);

process.exitCode = await main();

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { only: { type: 'string' } } });
  const { only } = values;
  if (only !== undefined && !isName(only)) {
    process.stderr.write(`bench: --only takes one of ${NAMES.join(', ')}\n`);
    return 2;
  }
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    // Servers and workers are guarded: they end with this process.
    process.once(name, () => process.exit(130));
  }
  const begin = performance.now();
  const say = (line: string) => process.stderr.write(`${seconds(begin).padStart(7)}  ${line}\n`);
  const machine = describeMachine();
  const measured: Measured[] = [];
  const failed: Name[] = [];
  for (const name of only === undefined ? NAMES : [only]) {
    const dir = await mkdtemp(join(tmpdir(), `rollcall-bench-${name}-`));
    say(`${name}`);
    try {
      measured.push(await MEASUREMENTS[name]({ dir, say: (line) => say(`  ${line}`), signal: stop.signal }));
      await rm(dir, { recursive: true, force: true });
    } catch (error) {
      const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
      process.stderr.write(`bench: ${name} could not be measured; the logs stay in ${dir}\n${what}\n`);
      failed.push(name);
    }
  }
  const figures = measured.flatMap((one) => one.figures);
  const missed = figures.filter((figure) => !holds(figure));
  const report = {
    at: new Date().toISOString(),
    machine,
    versions: { rollcall: VERSION, node: process.version, ...(await serverVersions()) },
    ...Object.assign({}, ...measured.map((one) => one.results)),
    missed: missed.map(({ name }) => name),
    failed,
  };
  await mkdir(runDir, { recursive: true });
  const file = join(runDir, only === undefined ? 'bench.json' : `bench.${only}.json`);
  await writeFile(file, `${JSON.stringify(report, undefined, 2)}\n`);
  process.stdout.write(`${tableOf(figures)}\n`);
  const busy = machine.loadAtStart > machine.cores / 2;
  if (busy)
    process.stdout.write('The machine was busy before the bench began, so every time is longer than it need be.\n');
  const verdict = missed.length === 0 ? 'No target missed' : `${missed.length} targets missed`;
  const unmeasured = failed.length === 0 ? '' : `, ${failed.join(', ')} not measured`;
  process.stdout.write(`${verdict}${unmeasured} in ${seconds(begin)}; ${relative(process.cwd(), file)} has it all.\n`);
  return missed.length + failed.length === 0 ? 0 : 1;
}

function tableOf(figures: readonly Figure[]): string {
  const table = new Table({
    head: ['measurement', 'figure', 'target', 'verdict'],
    colAligns: ['left', 'right', 'right', 'left'],
    style: { head: [], border: [] },
  });
  for (const figure of figures) {
    const { atLeast, atMost } = figure;
    const target = atLeast !== undefined ? `>= ${shown(atLeast)}` : atMost !== undefined ? `<= ${shown(atMost)}` : '';
    const verdict = target === '' ? '' : holds(figure) ? 'ok' : 'MISSED';
    table.push([figure.name, `${shown(figure.value)} ${figure.unit}`.trimEnd(), target, verdict]);
  }
  return table.toString();
}

function shown(value: number): string {
  return value.toLocaleString('en', { maximumFractionDigits: value < 100 ? 2 : 0 });
}

function seconds(begin: number): string {
  return `${((performance.now() - begin) / 1_000).toFixed(1)} s`;
}

function isName(text: string): text is Name {
  return Object.hasOwn(MEASUREMENTS, text);
}
