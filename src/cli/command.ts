// What every command shares: where it prints, how it fails, and how it says so. Not what the commands are: that is
// `program.ts`.

import type { WriteStream } from 'node:tty';
import { stringify } from 'yaml';

/** Wrong input: the settings or the command line, not the world. */
export const USAGE_EXIT_CODE = 2;

export type Io = {
  readonly environment: NodeJS.ProcessEnv;
  /** Standard output, and standard error. */
  readonly print: (text: string) => void;
  readonly complain: (text: string) => void;
  /** Where standard output is a terminal that can be drawn on. */
  readonly terminal?: WriteStream;
  /** Aborts when the person has had enough. */
  readonly signal: AbortSignal;
};

/** The world is not as the command needs it. The message says what to do; there is nothing to see in a stack. */
export class CommandError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CommandError';
  }
}

/** The command line asks for what cannot be. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

export const FORMATS = ['table', 'json', 'yaml'] as const;
export type Format = (typeof FORMATS)[number];

/** One document of data, in a format that is not the table. */
export const printData = (data: unknown, format: 'json' | 'yaml'): string =>
  format === 'json' ? `${JSON.stringify(data, undefined, 2)}\n` : stringify(data, { lineWidth: 0 });
