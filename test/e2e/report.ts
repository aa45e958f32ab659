// The verdicts of a run: every line is a cause, an effect and a limit, or a fact that must hold. It judges nothing itself.

import Table from 'cli-table3';

type Line = {
  readonly story: string;
  readonly cause: string;
  readonly effect: string;
  readonly took: string;
  readonly limit: string;
  readonly passed: boolean;
};

export class Report {
  readonly #lines: Line[] = [];

  /** `tookMs`: from the cause to the effect; undefined when the effect never came. */
  timed(story: string, cause: string, effect: string, tookMs: number | undefined, limitMs: number): void {
    const passed = tookMs !== undefined && tookMs <= limitMs;
    const took = tookMs === undefined ? 'never' : seconds(tookMs);
    this.#add({ story, cause, effect, took, limit: `<= ${seconds(limitMs)}`, passed });
  }

  /** `problem`: what is wrong, or undefined when the fact holds. */
  fact(story: string, cause: string, effect: string, problem: string | undefined): void {
    this.#add({ story, cause, effect, took: problem ?? '', limit: 'holds', passed: problem === undefined });
  }

  get passed(): number {
    return this.#lines.filter(({ passed }) => passed).length;
  }

  get failed(): number {
    return this.#lines.length - this.passed;
  }

  toString(): string {
    const table = new Table({
      head: ['story', 'cause', 'effect', 'time', 'limit', 'verdict'],
      style: { head: [], border: [], compact: true },
      colWidths: [null, 42, 42, 26, null, null],
      wordWrap: true,
    });
    let last = '';
    for (const { story, cause, effect, took, limit, passed } of this.#lines) {
      table.push([story === last ? '' : story, cause, effect, took, limit, passed ? 'pass' : 'FAIL']);
      last = story;
    }
    return `${table.toString()}\n${this.passed} passed, ${this.failed} failed`;
  }

  #add(line: Line): void {
    this.#lines.push(line);
    const { story, cause, effect, took, passed } = line;
    process.stderr.write(`${passed ? 'pass' : 'FAIL'}  ${story}: ${cause} -> ${effect} ${took}\n`);
  }
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(3)} s`;
