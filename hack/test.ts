// Runs every kind of test and the short selection of the fault campaign, prints a table with the counts of each, and ends
// with a line `N passed, N failed`. One after the other: the last two need the machine for themselves to keep their promises.

import { spawn } from 'node:child_process';
import { globSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import Table from 'cli-table3';
import type { Outcome } from '../test/faults/campaign.ts';
import { judgeWords } from '../test/support/reason-list.ts';
import { REASONS_DIR } from '../test/support/reason-witness.ts';

/**
 * Integration tests hold real servers to promises in seconds, four files at a time and on whatever else the machine does.
 * A file in which a test misses is run once more from the start, alone, and the table says so; a defect misses again. So
 * is a case of the campaign. All others come out the same every time.
 */
const KINDS = [
  { name: 'unit', folder: 'test/unit', runsAgain: false },
  { name: 'property', folder: 'test/property', runsAgain: false },
  { name: 'simulation', folder: 'test/simulation', runsAgain: false },
  { name: 'integration', folder: 'test/integration', runsAgain: true },
] as const;

type Result = {
  readonly name: string;
  readonly files: number;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Tests that missed at first and passed when their file was run again. */
  readonly again: readonly string[];
  readonly failedFiles: readonly string[];
  readonly seconds: number;
};

type Report = {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numFailedTestSuites: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
};

/** Runs a program with our Node and our terminal; resolves to its exit code. */
const node = async (...args: readonly string[]): Promise<number> => {
  const child = spawn('node_modules/.bin/node', args, { stdio: 'inherit' });
  return new Promise((resolve) => child.once('exit', (status) => resolve(status ?? 1)));
};

const run = async (name: string, paths: readonly string[], options: readonly string[] = []): Promise<Result> => {
  const reportFile = reportFileOf(name);
  rmSync(reportFile, { force: true });
  const startedMs = performance.now();
  const code = await node(
    'node_modules/vitest/vitest.mjs',
    'run',
    ...paths,
    ...options,
    '--reporter=default',
    '--reporter=json',
    `--outputFile=${reportFile}`,
  );
  const report = readReport(reportFile);
  const seconds = (performance.now() - startedMs) / 1_000;
  // A file that cannot even be loaded has no tests that failed, and must not pass for green.
  const broken = report.testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
  ).length;
  const failed = report.numFailedTests + broken;
  return {
    name,
    files: report.testResults.length,
    passed: report.numPassedTests,
    failed: failed === 0 && code !== 0 ? 1 : failed,
    skipped: report.numPendingTests,
    again: [],
    failedFiles: report.testResults.flatMap((file) => (file.status === 'failed' ? file.name : [])),
    seconds,
  };
};

const failedTests = (name: string): readonly string[] =>
  readReport(reportFileOf(name)).testResults.flatMap(({ assertionResults }) =>
    assertionResults.flatMap(({ status, fullName }) => (status === 'failed' ? fullName : [])),
  );

/** Runs the files that missed once more, one at a time; what misses then has failed. */
const runAgain = async (first: Result): Promise<Result> => {
  const missed = failedTests(first.name);
  process.stdout.write(`\n── ${first.name} tests, run again alone: ${first.failedFiles.join(', ')}\n`);
  const second = await run(`${first.name}-again`, first.failedFiles, ['--maxWorkers=1']);
  const stillFailing = new Set(failedTests(second.name));
  return {
    ...first,
    passed: first.passed + first.failed - second.failed,
    failed: second.failed,
    again: missed.filter((test) => !stillFailing.has(test)),
    seconds: first.seconds + second.seconds,
  };
};

const reportFileOf = (name: string): string => `.run/test-${name}.json`;

const readReport = (file: string): Report => {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Report;
  } catch {
    return { numPassedTests: 0, numFailedTests: 1, numPendingTests: 0, numFailedTestSuites: 1, testResults: [] };
  }
};

/** Whether the tests on a real API server saw every reason of the closed list said, and no other. */
const judgeReasons = (): Result => {
  const files = globSync(`${REASONS_DIR}/*.json`);
  const said = files.flatMap((file) => JSON.parse(readFileSync(file, 'utf8')) as string[]);
  const problems = judgeWords(new Set(said));
  for (const problem of problems) process.stdout.write(`reasons: ${problem} (test/conformance/reasons.json)\n`);
  const [passed, failed] = problems.length === 0 ? [1, 0] : [0, 1];
  return { name: 'reasons', files: files.length, passed, failed, skipped: 0, again: [], failedFiles: [], seconds: 0 };
};

/** `make faults SHORT=1`. A case that failed is played once more. */
const playFaults = async (): Promise<Result> => {
  process.stdout.write('\n── faults: the short selection of the campaign\n');
  const startedMs = performance.now();
  const { code, outcomes } = await playCases();
  const missed = outcomes.filter(({ passed }) => !passed).map(({ id }) => id);
  if (missed.length > 0) process.stdout.write(`\n── faults, played again: ${missed.join(', ')}\n`);
  const again = missed.length > 0 ? (await playCases(missed)).outcomes.filter(({ passed }) => passed) : [];
  // A campaign that came to no end has cases that nobody saw.
  const brokeOff = code !== 0 && missed.length === 0;
  return {
    name: 'faults',
    files: outcomes.length,
    passed: outcomes.length - missed.length + again.length,
    failed: brokeOff ? 1 : missed.length - again.length,
    skipped: 0,
    again: again.map(({ id, fault }) => `${id}, ${fault}`),
    failedFiles: [],
    seconds: (performance.now() - startedMs) / 1_000,
  };
};

type Campaign = { readonly outcomes: readonly Outcome[] };

const playCases = async (ids: readonly string[] = []): Promise<Campaign & { readonly code: number }> => {
  rmSync(FAULTS_REPORT, { force: true });
  const code = await node('hack/faults.ts', '--short', ...(ids.length > 0 ? ['--case', ids.join(',')] : []));
  try {
    return { ...(JSON.parse(readFileSync(FAULTS_REPORT, 'utf8')) as Campaign), code };
  } catch {
    return { outcomes: [], code: 1 };
  }
};

const FAULTS_REPORT = '.run/faults-short.json';

mkdirSync('.run', { recursive: true });
rmSync(REASONS_DIR, { recursive: true, force: true });
const results: Result[] = [];
for (const { name, folder, runsAgain } of KINDS) {
  process.stdout.write(`\n── ${name} tests\n`);
  const result = await run(name, [folder]);
  results.push(runsAgain && result.failedFiles.length > 0 ? await runAgain(result) : result);
}
results.push(judgeReasons(), await playFaults());
const head = ['tests', 'files', 'passed', 'of these again', 'failed', 'skipped', 'seconds'];
const table = new Table({ head, style: { head: [] } });
for (const { name, files, passed, again, failed, skipped, seconds } of results) {
  table.push([name, files, passed, again.length, failed, skipped, seconds.toFixed(1)]);
}
for (const test of results.flatMap(({ again }) => again)) {
  process.stdout.write(`missed at first, passed when it was run again: ${test}\n`);
}
const passed = results.reduce((sum, result) => sum + result.passed, 0);
const failed = results.reduce((sum, result) => sum + result.failed, 0);
process.stdout.write(`\n${table.toString()}\n${passed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
