// Whether a bucket will do, as checks that say what to do: the operator's own verdict on it, and what it takes but a
// person should know of. Pure.

import type { Config } from '../config.ts';
import { isOlder } from '../nats/bucket.ts';
import type { BucketReport, UnsupportedBucket } from '../writer/registry.ts';
import { type Check, failure, ok, warning } from './check.ts';
import { plural } from './text.ts';

/** Older ones work, with bugs that later ones do not have (docs/compatibility.md). */
const SERVER_VERSION_RECOMMENDED = '2.14.0';
const UNSUPPORTED_ADVICE: Readonly<Record<UnsupportedBucket['mendedBy'], string>> = {
  'newer-server': 'Upgrade the server; docs/compatibility.md says which will do. Until then nothing is written to it.',
  additions: '`rollcall bucket ensure` adds it, and changes nothing else. Until then nothing is written to it.',
  person:
    'That is for whoever owns the bucket to change: Rollcall adds, and never takes away. Until then nothing is written to it.',
};
export const RIGHTS_ADVICE = 'docs/permissions.md has the rights of a NATS user.';
const FULL_WARNING = 0.8;
const BYTES_PER_MIB = 1_048_576;

/** `ttl`: the installation's default TTL and refresh interval, in seconds. */
export const bucketChecks = (
  report: BucketReport,
  bucket: string,
  ttl: { readonly ttlSeconds: number; readonly refreshIntervalSeconds: number },
): readonly Check[] => {
  switch (report.kind) {
    case 'unavailable':
      return [
        failure('bucket', report.description, 'Look at the NATS server, and whether JetStream is enabled in it.'),
      ];
    case 'denied':
      return [failure('bucket', report.description, RIGHTS_ADVICE)];
    case 'missing':
      return [
        serverCheck(report.serverVersion),
        failure('bucket', `The bucket ${bucket} does not exist.`, 'Make it with `rollcall bucket ensure`.'),
      ];
    case 'unsupported':
      return report.reasons.map((reason) => failure('bucket', sentence(reason), UNSUPPORTED_ADVICE[report.mendedBy]));
    case 'usable':
      return [serverCheck(report.serverVersion), ...usableChecks(report, bucket, ttl)];
  }
};

/** What the operator would do about a bucket that will not do yet. */
export const sentenceOfReport = (
  report: BucketReport,
  { bucket, bucketPolicy }: Pick<Config, 'bucket' | 'bucketPolicy'>,
): string => {
  switch (report.kind) {
    case 'usable':
      return `The bucket ${bucket} will do.`;
    case 'missing':
      return bucketPolicy === 'Verify'
        ? `The bucket ${bucket} does not exist, and with --bucket-policy=Verify nothing is written before somebody makes it.`
        : `The bucket ${bucket} does not exist; it would be made.`;
    case 'unsupported':
      return `The bucket ${bucket} will not do: ${report.reasons.join('; ')}. ${bucketPolicy === 'Upgrade' ? 'What can be added would be.' : 'Nothing is written before that is done; this is what would be then:'}`;
    case 'denied':
    case 'unavailable':
      return `The bucket ${bucket} cannot be looked at (${report.description}); this is what would be written to an empty one:`;
  }
};

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

const serverCheck = (version: string): Check =>
  isOlder(version, SERVER_VERSION_RECOMMENDED)
    ? warning(
        'nats-server',
        `nats-server ${version} will do; ${SERVER_VERSION_RECOMMENDED} or later is recommended.`,
        'Upgrade it when you can.',
      )
    : ok('nats-server', `nats-server ${version}`);

const usableChecks = (
  report: Extract<BucketReport, { kind: 'usable' }>,
  bucket: string,
  { ttlSeconds, refreshIntervalSeconds }: Parameters<typeof bucketChecks>[2],
): readonly Check[] => {
  const { history, maxAgeSeconds, markerTtlSeconds, messages, bytes, maxBytes, replicas } = report;
  const checks: Check[] = [];
  const stream = `KV_${bucket}`;
  if (history > 1) {
    checks.push(
      warning(
        'history',
        `The bucket keeps ${history} values per key, so every write has to roll the older ones up.`,
        `Nobody needs them: nats stream edit ${stream} --max-msgs-per-subject=1`,
      ),
    );
  }
  if (maxAgeSeconds > 0 && maxAgeSeconds < ttlSeconds) {
    const found = `The bucket's max_age of ${maxAgeSeconds} s cuts the TTL of ${ttlSeconds} s`;
    const advice = `Switch it off, keys have TTLs of their own: nats stream edit ${stream} --max-age=0`;
    checks.push(
      maxAgeSeconds <= refreshIntervalSeconds
        ? failure(
            'max_age',
            `${found}, and keys are refreshed only each ${refreshIntervalSeconds} s: living pods lapse.`,
            advice,
          )
        : warning('max_age', `${found}.`, advice),
    );
  }
  if (markerTtlSeconds === 0) {
    checks.push(
      warning(
        'markers',
        'The bucket leaves no markers, so readers are not told when a key lapses, and replicas of the stream expire keys by their own clocks.',
        `nats stream edit ${stream} --subject-del-markers-ttl=1m`,
      ),
    );
  }
  if (maxBytes > 0 && bytes >= maxBytes * FULL_WARNING) {
    checks.push(
      warning(
        'room',
        `The bucket is ${Math.round((100 * bytes) / maxBytes)} % full: ${mib(bytes)} of ${mib(maxBytes)}. When it is full new pods are not registered.`,
        `Raise its limit: nats stream edit ${stream} --max-bytes=...`,
      ),
    );
  }
  const about = `${plural(messages, 'message')}, ${mib(bytes)}, ${plural(replicas, 'replica')}`;
  return [...checks, ok('bucket', `The bucket ${bucket} will do: ${about}`)];
};

const mib = (bytes: number): string => `${(bytes / BYTES_PER_MIB).toFixed(1)} MiB`;
