// What the code needs of a logger: fields first, then a sentence, as pino has it. Not the logger: that is
// `telemetry/logger.ts`.

export type Log = {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
};
