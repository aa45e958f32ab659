import { describe, expect, test } from 'vitest';
import { bucketChecks } from '../../../src/cli/bucket-checks.ts';
import { checkLines, exitCodeOf, failure, ok, type Verdict, warning } from '../../../src/cli/check.ts';
import type { BucketReport, UnsupportedBucket } from '../../../src/writer/registry.ts';

const usable: Extract<BucketReport, { kind: 'usable' }> = {
  kind: 'usable',
  serverVersion: '2.15.2',
  incarnation: '2026-11-23T09:00:00Z',
  lastRevision: 10,
  messages: 3,
  bytes: 1_000,
  maxBytes: -1,
  maxAgeSeconds: 0,
  markerTtlSeconds: 60,
  history: 1,
  replicas: 1,
};

const unsupported = (mendedBy: UnsupportedBucket['mendedBy'], reason: string): BucketReport => ({
  kind: 'unsupported',
  serverVersion: '2.15.2',
  reasons: [reason],
  mendedBy,
});

const checksOf = (report: BucketReport) =>
  bucketChecks(report, 'service-registry', { ttlSeconds: 30, refreshIntervalSeconds: 10 });

describe('bucketChecks', () => {
  test.each<readonly [what: string, report: BucketReport, worst: Verdict, says: readonly string[]]>([
    ['a good one', usable, 'ok', ['will do']],
    ['history 10', { ...usable, history: 10 }, 'warning', ['10 values per key', '--max-msgs-per-subject=1']],
    ['max_age 10 s', { ...usable, maxAgeSeconds: 10 }, 'failure', ['max_age of 10 s', 'lapse', '--max-age=0']],
    ['max_age 20 s', { ...usable, maxAgeSeconds: 20 }, 'warning', ['max_age of 20 s', '--max-age=0']],
    ['max_age as long as the TTL', { ...usable, maxAgeSeconds: 30 }, 'ok', []],
    ['no markers', { ...usable, markerTtlSeconds: 0 }, 'warning', ['markers']],
    ['nearly full', { ...usable, bytes: 900, maxBytes: 1_000 }, 'warning', ['90 % full', '--max-bytes']],
    ['half full', { ...usable, bytes: 500, maxBytes: 1_000 }, 'ok', []],
    ['a server that will do', { ...usable, serverVersion: '2.12.1' }, 'warning', ['2.12.1', '2.14.0']],
    ['no bucket', { kind: 'missing', serverVersion: '2.15.2', description: 'x' }, 'failure', ['bucket ensure']],
    ['no right', { kind: 'denied', description: 'may not' }, 'failure', ['may not', 'docs/permissions.md']],
    ['no JetStream', { kind: 'unavailable', description: 'no leader' }, 'failure', ['no leader', 'JetStream']],
    [
      'a bucket without TTL',
      unsupported('additions', 'no TTL: set --bucket-policy=Upgrade'),
      'failure',
      ['No TTL', 'bucket ensure'],
    ],
    ['a bucket that is a mirror', unsupported('person', 'a mirror'), 'failure', ['A mirror.', 'owns the bucket']],
    ['a server too old', unsupported('newer-server', 'too old'), 'failure', ['Too old.', 'Upgrade the server']],
  ])('%s', (_what, report, worst, says) => {
    const checks = checksOf(report);
    expect(exitCodeOf(checks)).toBe({ ok: 0, warning: 1, failure: 2 }[worst]);
    const text = checkLines(checks).join('\n');
    for (const part of says) expect(text).toContain(part);
  });
});

describe('checks', () => {
  test.each([
    [[], 0],
    [[ok('a', 'b')], 0],
    [[ok('a', 'b'), warning('c', 'd', 'e')], 1],
    [[failure('a', 'b', 'c'), warning('c', 'd', 'e')], 2],
  ])('the worst decides about the exit code', (checks, code) => {
    expect(exitCodeOf(checks)).toBe(code);
  });

  test('what to do stands below what was found', () => {
    const [first = '', second = ''] = checkLines([warning('leader', 'Nobody leads.', 'Start one.')]);
    expect(first).toMatch(/^warning +leader +Nobody leads\.$/);
    expect(second.indexOf('-> Start one.')).toBe(first.indexOf('Nobody'));
  });
});
