/**
 * What has happened in the demo so far, as data: steps with the commands that were run and what was seen. The story
 * writes it, the screen and the plain lines read it.
 */

export type Finding = {
  readonly what: string;
  /** From cause to visible effect; undefined where a time would mean nothing. */
  readonly tookMs: number | undefined;
  readonly limitMs: number | undefined;
  readonly ok: boolean;
};

export type Step = {
  /** 0 for what comes before and after the story. */
  readonly number: number;
  readonly title: string;
  readonly lines: readonly Line[];
};

export type Line = Content & { readonly atMs: number };

export type Content =
  /** Run by the demo, as it stands here. */
  | { readonly kind: 'command'; readonly text: string }
  /** What a user may type to see for themselves. */
  | { readonly kind: 'look'; readonly text: string }
  | { readonly kind: 'note'; readonly text: string }
  | { readonly kind: 'problem'; readonly text: string }
  | { readonly kind: 'finding'; readonly finding: Finding };

type Waiting = { readonly what: string; readonly sinceMs: number; readonly limitMs: number | undefined };

export class Chronicle {
  readonly #steps: { number: number; title: string; lines: Line[] }[] = [];
  readonly #onLine: (step: Step, line: Line | undefined) => void;
  #waiting: Waiting | undefined;

  /** `onLine` is told of each line, and of each step's beginning with no line. */
  constructor(onLine: (step: Step, line: Line | undefined) => void) {
    this.#onLine = onLine;
  }

  get steps(): readonly Step[] {
    return this.#steps;
  }

  get waiting(): Waiting | undefined {
    return this.#waiting;
  }

  begin(number: number, title: string): void {
    const step = { number, title, lines: [] };
    this.#steps.push(step);
    this.#onLine(step, undefined);
  }

  command(text: string): void {
    this.#add({ kind: 'command', text });
  }

  look(text: string): void {
    this.#add({ kind: 'look', text });
  }

  note(text: string): void {
    this.#add({ kind: 'note', text });
  }

  problem(text: string): void {
    this.#add({ kind: 'problem', text });
  }

  finding(finding: Finding): void {
    this.#add({ kind: 'finding', finding });
  }

  /** Says what is waited for while `work` runs. */
  async during<T>(what: string, limitMs: number | undefined, work: () => Promise<T>): Promise<T> {
    this.#waiting = { what, limitMs, sinceMs: performance.now() };
    try {
      return await work();
    } finally {
      this.#waiting = undefined;
    }
  }

  #add(content: Content): void {
    const step = this.#steps.at(-1);
    if (step === undefined) throw new Error('a line belongs to a step');
    const line = { ...content, atMs: performance.now() };
    step.lines.push(line);
    this.#onLine(step, line);
  }
}
