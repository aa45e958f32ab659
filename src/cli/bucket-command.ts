// `rollcall bucket check` and `rollcall bucket ensure`: the operator's own check of the bucket, without the operator.
// `check` changes nothing; `ensure` is for an install job, with a NATS user that may make streams.

import { systemClock } from '../clock.ts';
import type { Config } from '../config.ts';
import { bucketChecks, RIGHTS_ADVICE } from './bucket-checks.ts';
import { type Check, checkLines, exitCodeOf, failure, ok } from './check.ts';
import { type Format, type Io, printData } from './command.ts';
import { defaultsOf } from './from-config.ts';
import { withRegistry } from './open-registry.ts';

/** Resolves with the exit code. */
export const runBucketCheck = async (config: Config, format: Format, io: Io): Promise<number> => {
  const report = await inspect({ ...config, bucketPolicy: 'Verify' }, io.signal);
  return tell(bucketChecks(report, config.bucket, defaultsOf(config)), format, io);
};

/** Resolves with the exit code. */
export const runBucketEnsure = async (config: Config, format: Format, io: Io): Promise<number> => {
  const before = await inspect({ ...config, bucketPolicy: 'Verify' }, io.signal);
  const after = before.kind === 'usable' ? before : await inspect({ ...config, bucketPolicy: 'Upgrade' }, io.signal);
  // Whoever asked for it to be made is not to be told to ask.
  if (after.kind === 'missing') return tell([failure('bucket', after.description, RIGHTS_ADVICE)], format, io);
  const checks = bucketChecks(after, config.bucket, defaultsOf(config));
  const done = after.kind === 'usable' ? [ok('done', doneBy(before.kind, config.bucket))] : [];
  return tell([...done, ...checks], format, io);
};

const inspect = (config: Config, signal: AbortSignal) =>
  withRegistry(config, systemClock, (registry) => registry.inspect(signal));

const doneBy = (before: string, bucket: string): string => {
  if (before === 'missing') return `Made the bucket ${bucket}.`;
  if (before === 'unsupported') return `Completed the bucket ${bucket}; what was in it stays.`;
  return `Nothing had to be done.`;
};

const tell = (checks: readonly Check[], format: Format, io: Io): number => {
  io.print(format === 'table' ? `${checkLines(checks).join('\n')}\n` : printData({ checks }, format));
  return exitCodeOf(checks);
};
