// JSON lines on standard output, one object each. Values from outside are cut, so that no annotation fills a disk.

import { type Logger, pino } from 'pino';

const VALUE_LENGTH_MAX = 256;
/** A stack is our own text, and of use only as a whole. */
const STACK_LENGTH_MAX = 4_096;
/** Of a list. */
const ENTRIES_MAX = 50;

export const createLogger = (level: string, version: string, to?: NodeJS.WritableStream): Logger =>
  pino(
    {
      level,
      base: { rollcall: version },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: {
        level: (label) => ({ level: label }),
        log: (fields) => cutFields(fields),
      },
    },
    to ?? pino.destination(1),
  );

const cutFields = (fields: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, cut(name, value)]));

const cut = (name: string, value: unknown): unknown => {
  if (value instanceof Error) return cut('stack', value.stack ?? value.message);
  if (Array.isArray(value)) return value.slice(0, ENTRIES_MAX).map((entry: unknown) => cut(name, entry));
  if (typeof value === 'object' && value !== null) return cutFields(value);
  const max = name === 'stack' ? STACK_LENGTH_MAX : VALUE_LENGTH_MAX;
  return typeof value === 'string' && value.length > max ? `${value.slice(0, max)}…` : value;
};
