// Runs every kind of test, prints a table with the counts of each, and ends with a line `N passed, N failed`.
// Kinds run one after the other: the integration tests need the machine for themselves to keep their promises.

import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import Table from 'cli-table3';

/**
 * Integration tests hold real servers to promises in seconds, on whatever else the machine does: one that misses is run
 * once more, and the reporter says so (`retry x1`). All others come out the same every time.
 */
const KINDS = [
  { name: 'unit', folder: 'test/unit', options: [] },
  { name: 'property', folder: 'test/property', options: [] },
  { name: 'simulation', folder: 'test/simulation', options: [] },
  { name: 'integration', folder: 'test/integration', options: ['--retry=1'] },
] as const;

type Result = {
  readonly name: string;
  readonly files: number;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly seconds: number;
};

type Report = {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numFailedTestSuites: number;
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly unknown[] }[];
};

const run = async (name: string, folder: string, options: readonly string[]): Promise<Result> => {
  const reportFile = `.run/test-${name}.json`;
  rmSync(reportFile, { force: true });
  const startedMs = performance.now();
  const child = spawn(
    'node_modules/.bin/node',
    [
      'node_modules/vitest/vitest.mjs',
      'run',
      folder,
      ...options,
      '--reporter=default',
      '--reporter=json',
      `--outputFile=${reportFile}`,
    ],
    { stdio: 'inherit' },
  );
  const code = await new Promise<number>((resolve) => child.once('exit', (status) => resolve(status ?? 1)));
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
    seconds,
  };
};

const readReport = (file: string): Report => {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Report;
  } catch {
    return { numPassedTests: 0, numFailedTests: 1, numPendingTests: 0, numFailedTestSuites: 1, testResults: [] };
  }
};

mkdirSync('.run', { recursive: true });
const results: Result[] = [];
for (const { name, folder, options } of KINDS) {
  process.stdout.write(`\n── ${name} tests\n`);
  results.push(await run(name, folder, options));
}
const table = new Table({ head: ['tests', 'files', 'passed', 'failed', 'skipped', 'seconds'], style: { head: [] } });
for (const { name, files, passed, failed, skipped, seconds } of results) {
  table.push([name, files, passed, failed, skipped, seconds.toFixed(1)]);
}
const passed = results.reduce((sum, result) => sum + result.passed, 0);
const failed = results.reduce((sum, result) => sum + result.failed, 0);
process.stdout.write(`\n${table.toString()}\n${passed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
