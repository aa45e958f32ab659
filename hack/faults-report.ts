// The report of a campaign as a file: what was played where, by which sources, and all that came of it.

import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { VERSION } from '../src/version.ts';
import type { Outcome } from '../test/faults/campaign.ts';
import { describeMachine, type Machine, serverVersions } from './bench/versions.ts';

export type FaultReport = {
  readonly at: string;
  readonly commit: string;
  /** The same for commits that differ in other things than the operator and the campaign. */
  readonly sources: string;
  readonly machine: Machine;
  readonly versions: Readonly<Record<string, string>>;
  readonly outcomes: readonly Outcome[];
};

/** What is judged, the cases, and who judges. */
const SOURCES = ['src', 'test/faults', 'test/support'];

/** Of what is about to be played; `at` is now. */
export async function describeCampaign(): Promise<Omit<FaultReport, 'outcomes'>> {
  return {
    at: new Date().toISOString(),
    commit: await git('describe', '--always', '--dirty'),
    sources: (await git('rev-parse', ...SOURCES.map((folder) => `HEAD:${folder}`))).replaceAll('\n', ' '),
    machine: describeMachine(),
    versions: { rollcall: VERSION, node: process.version, ...(await serverVersions()) },
  };
}

export function writeFaultReport(file: string, report: FaultReport): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(report, undefined, 2)}\n`);
}

async function git(...args: readonly string[]): Promise<string> {
  try {
    return (await promisify(execFile)('git', args)).stdout.trim();
  } catch {
    return 'unknown';
  }
}
