// JSON lines on standard output, one object each. Values from outside are cut, so that no annotation fills a disk.

import { type Logger, pino } from 'pino';

const VALUE_LENGTH_MAX = 256;
/** A stack is our own text, and of use only as a whole. */
const STACK_LENGTH_MAX = 4_096;

export const createLogger = (level: string, version: string): Logger =>
  pino({
    level,
    base: { rollcall: version },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: {
      level: (label) => ({ level: label }),
      log: (fields) => Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, cut(name, value)])),
    },
  });

const cut = (name: string, value: unknown): unknown => {
  if (value instanceof Error) return cut('stack', value.stack ?? value.message);
  const max = name === 'stack' ? STACK_LENGTH_MAX : VALUE_LENGTH_MAX;
  return typeof value === 'string' && value.length > max ? `${value.slice(0, max)}…` : value;
};
