import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readConfig } from '../../src/config-sources.ts';

const fileWith = (text: string): string => {
  const path = join(mkdtempSync(join(tmpdir(), 'rollcall-config-')), 'rollcall.yaml');
  writeFileSync(path, text);
  return path;
};

const problemsOf = (...args: Parameters<typeof readConfig>): readonly string[] => {
  const result = readConfig(...args);
  return result.kind === 'invalid' ? result.problems : [];
};

const configOf = (...args: Parameters<typeof readConfig>) => {
  const result = readConfig(...args);
  if (result.kind === 'invalid') throw new Error(result.problems.join('; '));
  return result.config;
};

describe('readConfig', () => {
  test('flags come before variables, variables before the file, the file before the default', () => {
    const config = fileWith('bucket: by-file\noperatorId: by-file\nlogLevel: warn\n');
    const environment = { ROLLCALL_BUCKET: 'by-variable', ROLLCALL_OPERATOR_ID: 'by-variable' };
    expect(configOf({ config, bucket: 'by-flag' }, environment)).toMatchObject({
      bucket: 'by-flag',
      operatorId: 'by-variable',
      logLevel: 'warn',
      defaultTtl: 30,
    });
  });

  test('what is empty is not set', () => {
    const config = fileWith('natsCreds:\nmaxHold:\n');
    const environment = { ROLLCALL_MAX_HOLD: '', ROLLCALL_NATS_USER: '', ROLLCALL_CONFIG: '' };
    expect(configOf({ config }, environment)).toMatchObject({ maxHold: 300 });
    expect(configOf({}, environment)).not.toHaveProperty('natsUser');
    expect(configOf({}, environment)).not.toHaveProperty('natsCreds');
  });

  test.each(['', ' ', '1e3', '0x10', '1.5', '-1', '∞'])('%j is no number of seconds', (text) => {
    expect(problemsOf({ maxHold: text }, {})).toHaveLength(1);
  });

  test.each(['maxHold: true', 'maxHold: [5]', 'bucketReplicas: "three"'])('%s is refused', (yaml) => {
    expect(problemsOf({ config: fileWith(yaml) }, {})).toHaveLength(1);
  });

  test.each([
    [true, true],
    ['true', true],
    ['false', false],
  ])('a switch given as %j is %j', (given, natsTlsFirst) => {
    expect(configOf({ natsTlsFirst: given }, {})).toMatchObject({ natsTlsFirst });
  });

  test('what does not go together is named with everything else', () => {
    const flags = {
      bucket: '!',
      natsUser: 'u',
      natsCert: '/c',
      namespace: 'kube-system',
      defaultRefreshInterval: '20',
    };
    const problems = problemsOf(flags, { ROLLCALL_DEFAULT_TTL: '40' });
    expect(problems).toEqual([
      expect.stringMatching(/^--bucket: /),
      expect.stringMatching(/^--nats-user: /),
      expect.stringMatching(/^--nats-cert: /),
      expect.stringMatching(/^--operator-id .*must be given with --namespace/),
      expect.stringMatching(/^--namespace: names a namespace that --exclude-namespace leaves out/),
      expect.stringMatching(/^--default-refresh-interval: must be at most a third/),
    ]);
  });

  test('what is wrong by itself is named once, and not for what it would go together with', () => {
    const flags = { defaultRefreshInterval: '20', namespace: 'a=b', operatorId: 'x' };
    expect(problemsOf(flags, { ROLLCALL_DEFAULT_TTL: '2' })).toEqual([
      expect.stringMatching(/^--namespace: must be names of namespaces/),
      expect.stringMatching(/^--default-ttl \(from ROLLCALL_DEFAULT_TTL\): must be at least 3/),
    ]);
  });

  test.each<[string, object, object]>([
    ['a flag', { defaultMetadata: '{"team":"rates"}' }, { defaultMetadata: { team: 'rates' } }],
    ['a flag given twice', { namespace: ['a', 'b'], operatorId: 'x' }, { namespace: ['a', 'b'] }],
    ['a port number', { defaultPort: '8080' }, { defaultPort: 8080 }],
    ['the last address there is', { metricsAddr: '[::1]:65535' }, { metricsAddr: '[::1]:65535' }],
    ['no address', { metricsAddr: '0' }, { metricsAddr: '0' }],
    ['a port name', { defaultPort: 'http' }, { defaultPort: 'http' }],
    ['labels', { defaultMetadataFromLabels: 'team,a/b' }, { defaultMetadataFromLabels: ['team', 'a/b'] }],
    ['a source of versions', { defaultVersion: '{"fromLabel":"rel"}' }, { defaultVersion: { fromLabel: 'rel' } }],
    ['a group', { defaultStickyActiveGroup: 'primary' }, { defaultStickyActiveGroup: 'primary' }],
    ['suspend', { defaultSuspend: 'true' }, { defaultSuspend: true }],
  ])('%s is read', (_, flags, expected) => {
    expect(configOf(flags as Record<string, unknown>, {})).toMatchObject(expected);
  });

  test('what is text on the command line may be a mapping in the file', () => {
    const config = fileWith('defaultMetadata: { team: rates }\ndefaultVersion:\n  fromImageTag: app\n');
    expect(configOf({ config }, {})).toMatchObject({
      defaultMetadata: { team: 'rates' },
      defaultVersion: { fromImageTag: 'app' },
    });
  });

  test.each<[string, Record<string, unknown>, RegExp]>([
    ['metadata that is no JSON', { defaultMetadata: 'team=rates' }, /^--default-metadata: must be JSON, such as/],
    ['metadata of ours', { defaultMetadata: '{"pod":"x"}' }, /^--default-metadata: .*set by Rollcall itself/],
    ['two sources of versions', { defaultVersion: '{"value":"1","fromLabel":"a"}' }, /^--default-version: at most one/],
    ['a port of no form', { defaultPort: 'HTTP!' }, /^--default-port: /],
    ['a group of no form', { defaultStickyActiveGroup: 'a b' }, /^--default-sticky-active-group: must be /],
    ['a grace of an hour', { defaultNotReadyGrace: '3600' }, /^--default-not-ready-grace: must be at most 300/],
    ['an address of no form', { metricsAddr: 'localhost' }, /^--metrics-addr: must be HOST:PORT or :PORT, or 0/],
    ['a port that no address has', { metricsAddr: ':65536' }, /^--metrics-addr: must have a port up to 65535$/],
    ['that of an IPv6 address', { healthAddr: '[::1]:99999' }, /^--health-addr: must have a port up to 65535$/],
    ['a namespace of no form', { excludeNamespace: 'a,b=c' }, /^--exclude-namespace: must be names of namespaces/],
    ['namespaces without a name of our own', { namespace: 'a' }, /^--operator-id .*must be given with --namespace/],
    [
      'a namespace that is left out',
      { namespace: 'kube-system', operatorId: 'x' },
      /^--namespace: names a namespace that --exclude-namespace leaves out/,
    ],
  ])('%s is refused', (_, flags, problem) => {
    expect(problemsOf(flags, {})).toEqual([expect.stringMatching(problem)]);
  });

  test('a setting of the file that does not exist is named', () => {
    const config = fileWith('natsURL: nats://a:4222\n');
    expect(problemsOf({ config }, {})).toEqual([`natsURL in ${config}: no such setting`]);
  });
});
