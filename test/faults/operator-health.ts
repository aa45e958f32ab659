// What the operators cost and whether they break, seen from outside: resident memory by the kernel's word, lines that a
// healthy operator never writes, ends that nobody asked for, how long the event loop made others wait, and how long the
// machine did; and what they ask of the API server by their own count.

import { readFileSync, statSync } from 'node:fs';
import type { OperatorProcess } from '../support/operator-process.ts';
import { nowMs, pause } from './monotonic.ts';
import { percentile } from './percentile.ts';

const LOOK_EVERY_MS = 100;
const MEMORY_EVERY = 10;
const LAG_EVERY = 50;
const MEMORY_MIB_MAX = 256;

export class OperatorHealth {
  readonly #operators: readonly OperatorProcess[];
  readonly #timer: NodeJS.Timeout;
  readonly #logOffsets = new Map<OperatorProcess, number>();
  #memoryMiB = 0;
  #lagMs = 0;
  #looks = 0;
  #lastLookMs = nowMs();
  #latenessMs: number[] = [];

  constructor(operators: readonly OperatorProcess[]) {
    this.#operators = operators;
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS);
    this.begin();
  }

  /** Forgets what was seen before. */
  begin(): void {
    this.#memoryMiB = 0;
    this.#lagMs = 0;
    this.#latenessMs = [];
    for (const operator of this.#operators) this.#logOffsets.set(operator, statSync(operator.process.logFile).size);
  }

  get peakMemoryMiB(): number {
    return this.#memoryMiB;
  }

  /** The longest block of an event loop since `begin`, by the operators' own measure. */
  get longestBlockMs(): number {
    return this.#lagMs;
  }

  /** How late this process, which does next to nothing, was woken: what of all times is the machine's doing. */
  get machineLatenessP99Ms(): number {
    return percentile(this.#latenessMs, 0.99);
  }

  /** What all operators together ask of the API server, measured for so long. */
  async requestsPerSecond(forMs: number): Promise<number> {
    const fromMs = nowMs();
    const before = await this.#requests();
    await pause(forMs);
    return (((await this.#requests()) - before) / (nowMs() - fromMs)) * 1_000;
  }

  async #requests(): Promise<number> {
    const counts = await Promise.all(this.#operators.map((operator) => operator.metric('rest_client_requests_total')));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  problems(): readonly string[] {
    const found = this.#operators.flatMap((operator) => {
      const log = readFileSync(operator.process.logFile).subarray(this.#logOffsets.get(operator)).toString('utf8');
      const crashes = log.split('\n').filter(isCrash).slice(0, 3);
      const gone = operator.process.running ? [] : ['is not running'];
      return [...crashes, ...gone].map((what) => `${operator.name}: ${what}`);
    });
    if (this.#memoryMiB >= MEMORY_MIB_MAX) found.push(`an operator used ${Math.round(this.#memoryMiB)} MiB`);
    return found;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
  }

  #look(): void {
    this.#looks += 1;
    this.#latenessMs.push(Math.max(0, nowMs() - this.#lastLookMs - LOOK_EVERY_MS));
    this.#lastLookMs = nowMs();
    if (this.#looks % MEMORY_EVERY !== 0) return;
    for (const operator of this.#operators) {
      if (!operator.process.running) continue;
      this.#memoryMiB = Math.max(this.#memoryMiB, residentMiB(operator.pid));
      if (this.#looks % LAG_EVERY === 0) {
        operator
          .metric('rollcall_event_loop_lag_seconds', 'quantile="1"')
          .then((seconds) => {
            this.#lagMs = Math.max(this.#lagMs, seconds * 1_000);
          })
          // Paused or just killed.
          .catch(() => {});
      }
    }
  }
}

const residentMiB = (pid: number): number => {
  try {
    const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return Number(kib ?? 0) / 1_024;
  } catch {
    return 0;
  }
};

/** A line that is no JSON is a stack trace or a warning of Node's. */
const isCrash = (line: string): boolean => {
  if (line.trim() === '') return false;
  if (!line.startsWith('{')) return true;
  return line.includes('"level":"fatal"') || /unhandled/i.test(line);
};
