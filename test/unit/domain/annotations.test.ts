// Annotations: what is taken, what is refused with which sentence, and that a refusal leaves the last good value.

import { describe, expect, test } from 'vitest';
import {
  podServiceName,
  readPodAnnotations,
  readRegister,
  readSpecAnnotations,
  registerProblem,
  serviceNameProblem,
} from '../../../src/domain/annotations.ts';
import { parseDuration } from '../../../src/domain/duration.ts';
import { aPod, someDefaults } from '../../support/builders.ts';

const read = (annotations: Record<string, string>, lastGood = {}) =>
  readSpecAnnotations(annotations, someDefaults, lastGood);

const textOf = (entries: readonly (readonly [string, unknown])[]): string =>
  JSON.stringify(Object.fromEntries(entries));
const many = (count: number, value: string) => Array.from({ length: count }, (_, i) => [`key${i}`, value] as const);

describe('durations', () => {
  test.each<[string, number]>([
    ['30', 30],
    ['30s', 30],
    ['1m', 60],
    ['1m30s', 90],
    ['1h', 3600],
    ['0h1m0s', 60],
    ['3600', 3600],
    ['90s', 90],
  ])('%s', (text, seconds) => {
    expect(parseDuration(text, 3, 3600)).toEqual({ kind: 'seconds', seconds });
  });

  test.each([
    '0s',
    '-1s',
    '1.5s',
    '500ms',
    '1d',
    '1e3s',
    'PT30S',
    '08s',
    '∞',
    '9999999h',
    '',
    '0',
    '2',
    '3601',
    '030',
    '+30',
    ' 30',
    '30 ',
    '30S',
    '30s1m',
    '1m1m',
    's',
    'h',
    '3O',
    '３０',
    '0x1e',
    '1_000',
    '99999999999',
    '3000ms',
    'NaN',
    'Infinity',
    '30\n',
  ])('%j is refused', (text) => {
    expect(parseDuration(text, 3, 3600)).toEqual({
      kind: 'problem',
      message: 'must be whole seconds from 3 to 3600, such as 30, 30s or 1m30s',
    });
  });
});

describe('register', () => {
  test.each<[string | undefined, string]>([
    ['true', 'yes'],
    ['false', 'no'],
    [undefined, 'absent'],
    ['yes', 'invalid'],
    ['TRUE', 'invalid'],
    ['1', 'invalid'],
    ['', 'invalid'],
    [' true', 'invalid'],
  ])('%j means %s', (text, expected) => {
    const annotations = text === undefined ? {} : { register: text };
    expect(readRegister(annotations)).toBe(expected);
    expect(registerProblem(annotations)).toEqual(
      expected === 'invalid'
        ? [{ annotation: 'register', value: text, message: 'register must be "true" or "false".' }]
        : [],
    );
  });
});

describe('taken', () => {
  test.each<[string, Record<string, string>, object]>([
    ['nothing', {}, {}],
    ['what is no spec field', { register: 'true', 'service-name': 'web' }, {}],
    ['a TTL', { ttl: '1m' }, { ttlSeconds: 60 }],
    ['an interval within the default TTL', { 'refresh-interval': '10s' }, { refreshIntervalSeconds: 10 }],
    [
      'an interval within its TTL',
      { ttl: '60', 'refresh-interval': '20' },
      { ttlSeconds: 60, refreshIntervalSeconds: 20 },
    ],
    ['an instance id', { 'instance-id': 'PodName' }, { instanceId: 'PodName' }],
    ['a version as it stands', { version: ' v1.4 ' }, { version: { value: 'v1.4' } }],
    ['a port number', { port: '8080' }, { port: 8080 }],
    ['a port name', { port: 'http' }, { port: 'http' }],
    ['a group', { 'sticky-active-group': 'blue' }, { stickyActiveGroup: 'blue' }],
    ['a policy', { 'when-not-ready': 'Remove' }, { whenNotReady: 'Remove' }],
    ['metadata', { metadata: '{"team":"rates","empty":""}' }, { metadata: { team: 'rates', empty: '' } }],
    ['no metadata', { metadata: '{}' }, { metadata: {} }],
    [
      'names that objects have',
      { metadata: '{"constructor":"a","toString":"b"}' },
      { metadata: { constructor: 'a', toString: 'b' } },
    ],
    ['32 entries', { metadata: textOf(many(32, 'x')) }, { metadata: Object.fromEntries(many(32, 'x')) }],
    ['512 emojis', { metadata: textOf([['a', '🙂'.repeat(512)]]) }, { metadata: { a: '🙂'.repeat(512) } }],
  ])('%s', (_, annotations, spec) => {
    expect(read(annotations)).toEqual({ spec, problems: [] });
  });
});

describe('refused', () => {
  const metadataForm = 'metadata must be a JSON object of text, such as {"team":"rates"}';

  test.each<[string, string, string, string]>([
    ['TTL 0', 'ttl', '0s', 'ttl must be whole seconds from 3 to 3600, such as 30, 30s or 1m30s.'],
    [
      'a fast interval',
      'refresh-interval',
      '0',
      'refresh-interval must be whole seconds from 1 to 1200, such as 30, 30s or 1m30s.',
    ],
    [
      'a slow interval',
      'refresh-interval',
      '11',
      'refresh-interval must be at most a third of the TTL, which is 30 s.',
    ],
    ['an instance id', 'instance-id', 'podname', 'instance-id must be Generated or PodName.'],
    ['a policy', 'when-not-ready', 'delete', 'when-not-ready must be MarkUnhealthy or Lapse or Remove.'],
    [
      'a group with a blank',
      'sticky-active-group',
      'a b',
      'sticky-active-group must be 1 to 63 letters, digits, hyphens, underscores and dots, beginning and ending with a letter or digit.',
    ],
    ['a blank version', 'version', '  ', 'version must have 1 to 64 characters, such as 1.4.2.'],
    ['a long version', 'version', '1'.repeat(65), 'version must have 1 to 64 characters, such as 1.4.2.'],
    ['a port', 'port', '70000', 'port must be a number from 1 to 65535 or the name of a container port.'],
    ['metadata that is no JSON', 'metadata', 'team=rates', `${metadataForm}.`],
    ['a metadata list', 'metadata', '["a"]', `${metadataForm}.`],
    ['a metadata null', 'metadata', 'null', `${metadataForm}.`],
    ['a metadata text', 'metadata', '"a"', `${metadataForm}.`],
    ['nested metadata', 'metadata', '{"a":{"b":"c"}}', `${metadataForm}: the value of a must be text in quotes.`],
    ['a metadata number', 'metadata', '{"a":1}', `${metadataForm}: the value of a must be text in quotes.`],
    ['33 entries', 'metadata', textOf(many(33, 'x')), `${metadataForm}: at most 32 entries are allowed, not 33.`],
    ['9 KiB', 'metadata', textOf(many(18, 'x'.repeat(512))), `${metadataForm}: all of it must stay within 6656 bytes.`],
    ['half a surrogate pair', 'metadata', '{"a":"\\ud800"}', `${metadataForm}: the value of a is not valid Unicode.`],
    [
      'a long value',
      'metadata',
      textOf([['a', 'x'.repeat(513)]]),
      `${metadataForm}: the value of a is longer than 512 characters.`,
    ],
  ])('%s', (_, annotation, value, message) => {
    const lastGood = {
      ttlSeconds: 30,
      refreshIntervalSeconds: 9,
      instanceId: 'PodName' as const,
      version: { value: '1.0.0' },
      port: 80,
      stickyActiveGroup: 'before',
      metadata: { team: 'before' },
      whenNotReady: 'Remove' as const,
    };
    const problems = [{ annotation, value: value.slice(0, 64), message }];
    expect(read({ [annotation]: value })).toEqual({ spec: {}, problems });
    // The last good value of this field stands, and of no other: those annotations are gone.
    const kept = read({ [annotation]: value }, lastGood);
    expect(kept.problems).toEqual(problems);
    expect(Object.keys(kept.spec)).toHaveLength(1);
    expect(lastGood).toMatchObject(kept.spec);
  });

  test.each(['a b', '1a', '', 'ä', '__proto__', 'a'.repeat(64), 'a/b', 'a\nb'])('the metadata key %j', (key) => {
    const { spec, problems } = read({ metadata: `{${JSON.stringify(key)}:"x"}` });
    expect(spec).toEqual({});
    expect(problems[0]?.message).toContain('metadata keys begin with a letter or underscore');
    expect(Object.prototype).not.toHaveProperty('x');
  });

  test.each([
    'start_time',
    'namespace',
    'pod',
    'node',
    'ip',
    'port',
    'sourceVersion',
    'stickyTerm',
  ])('the reserved metadata key %s', (key) => {
    expect(read({ metadata: textOf([[key, 'x']]) }).problems[0]?.message).toContain('set by Rollcall itself');
  });

  test('each by itself: one bad annotation spoils no other', () => {
    const { spec, problems } = read({ ttl: '∞', port: 'http', metadata: '[]' });
    expect(spec).toEqual({ port: 'http' });
    expect(problems.map(({ annotation }) => annotation)).toEqual(['ttl', 'metadata']);
  });

  test('a last good interval that no longer fits the new TTL is let go', () => {
    const lastGood = { ttlSeconds: 60, refreshIntervalSeconds: 20 };
    const { spec, problems } = read({ ttl: '30', 'refresh-interval': '20' }, lastGood);
    expect(spec).toEqual({ ttlSeconds: 30 });
    expect(problems.map(({ annotation }) => annotation)).toEqual(['refresh-interval']);
  });

  test('an annotation of no or a later version is said to do nothing', () => {
    const { problems } = read({ 'key-layout': 'Dotted', tll: '30' });
    expect(problems.map(({ annotation }) => annotation)).toEqual(['key-layout', 'tll']);
    expect(problems[0]?.message).toContain('is no annotation of this version');
  });
});

describe("a pod's own", () => {
  test('override version, port and metadata, and nothing else', () => {
    const annotations = { register: 'true', port: 'http', metadata: '{"a":"b"}', ttl: '60', version: '1.0.0' };
    expect(readPodAnnotations(annotations)).toEqual({
      register: 'yes',
      version: '1.0.0',
      port: 'http',
      metadata: { a: 'b' },
      problems: [],
    });
  });

  test('that are invalid override nothing and are said', () => {
    const { problems, ...rest } = readPodAnnotations({ register: 'no', port: '0', metadata: '[]', version: '' });
    expect(rest).toEqual({ register: 'invalid', metadata: {} });
    expect(problems.map(({ annotation }) => annotation)).toEqual(['register', 'version', 'port', 'metadata']);
  });

  test('that are invalid leave what they last said well, and those that are gone leave nothing', () => {
    const lastGood = { version: { value: '1.0.0' }, port: 'http', metadata: { a: 'b' } };
    const wrong = readPodAnnotations({ port: '0', metadata: '[]', version: '' }, lastGood);
    expect(wrong).toMatchObject({ version: '1.0.0', port: 'http', metadata: { a: 'b' } });
    expect(wrong.problems).toHaveLength(3);
    expect(readPodAnnotations({}, lastGood)).toEqual({ register: 'absent', metadata: {}, problems: [] });
  });
});

describe('the service that a pod names', () => {
  const label = { 'app.kubernetes.io/name': 'by-label' };

  test.each<[string, Parameters<typeof aPod>[0], string | undefined, string | undefined]>([
    ['the annotation first', { annotations: { 'service-name': 'by-hand' }, labels: label }, 'workload', 'by-hand'],
    ['then the label', { labels: label }, 'workload', 'by-label'],
    ['then the workload', { labels: {} }, 'workload', 'workload'],
    ['then the pod itself', { labels: {}, name: 'lonely' }, undefined, 'lonely'],
    [
      'a bad annotation gives way',
      { annotations: { 'service-name': 'By_Hand' }, labels: label },
      'workload',
      'by-label',
    ],
    ['a bad label gives way', { labels: { 'app.kubernetes.io/name': 'By_Label' } }, 'workload', 'workload'],
    ['none', { labels: {}, name: '0' }, undefined, undefined],
  ])('%s', (_, pod, workloadName, expected) => {
    expect(podServiceName(aPod(pod), workloadName)).toBe(expected);
  });

  test('a bad one is said with the rule', () => {
    expect(serviceNameProblem({ 'service-name': 'a*' })).toEqual([
      {
        annotation: 'service-name',
        value: 'a*',
        message:
          'service-name must be 3 to 64 lower-case letters, digits and single hyphens, beginning with a letter and not ending with a hyphen.',
      },
    ]);
    expect(serviceNameProblem({ 'service-name': 'web' })).toEqual([]);
  });
});
