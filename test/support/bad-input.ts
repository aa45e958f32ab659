// What people write into annotations and specs, right and wrong, with what it means: for the property tests, which mix
// it, and for the test against the real API server, which tries it one by one. Says nothing of how it is read.

/** `means` absent: to be refused, and the default to stand. */
export type Written<T> = { readonly text: string; readonly means?: T };

const right = <T>(text: string, means: T): Written<T> => ({ text, means });
const wrong = (text: string): Written<never> => ({ text });

const NO_DURATIONS = [
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
  ' 30',
  '30S',
  '+3s',
];

export const TTLS: readonly Written<number>[] = [
  right('3', 3),
  right('30s', 30),
  right('1m30s', 90),
  right('0h1m0s', 60),
  right('1h', 3600),
  ...[...NO_DURATIONS, '2', '3601', '61m', '1h1s', '0x1e', '٣٠', '30s\n'].map(wrong),
];

/** Right when it is at most a third of the TTL. */
export const INTERVALS: readonly Written<number>[] = [
  right('1', 1),
  right('2s', 2),
  right('10s', 10),
  right('20m', 1200),
  ...[...NO_DURATIONS, '1201', '21m'].map(wrong),
];

export const INSTANCE_IDS: readonly Written<'Generated' | 'PodName'>[] = [
  right('Generated', 'Generated'),
  right('PodName', 'PodName'),
  ...['', 'podName', 'POD_NAME', 'Random', ' PodName', '__proto__', 'toString'].map(wrong),
];

export const WHEN_NOT_READY: readonly Written<'MarkUnhealthy' | 'Lapse' | 'Remove'>[] = [
  right('MarkUnhealthy', 'MarkUnhealthy'),
  right('Lapse', 'Lapse'),
  right('Remove', 'Remove'),
  ...['', 'remove', 'Delete', 'Remove\n', 'constructor'].map(wrong),
];

/** What readers are shown. */
export const VERSIONS: readonly Written<string>[] = [
  right('1.4.2', '1.4.2'),
  right('0.0.0', '0.0.0'),
  right('v1.2.3', '1.2.3'),
  right('1.2', '1.2.0'),
  right('v7', '7.0.0'),
  right('1.4.2-rc.1', '1.4.2'),
  right('1.4.2+build.5', '1.4.2'),
  right('latest', '0.0.0'),
  right('01.2.3', '0.0.0'),
  right('1.2.3.4', '0.0.0'),
  right('sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'.slice(0, 64), '0.0.0'),
  right(`1.${'9'.repeat(40)}.0`, '0.0.0'),
  right('1.2.3\u0000', '0.0.0'),
  right('\u202e1.2.3', '0.0.0'),
  ...['', ' ', '1'.repeat(65)].map(wrong),
];

/** The pod declares `http` as 8080 and nothing else. */
export const PORTS: readonly Written<number>[] = [
  right('http', 8080),
  right('8080', 8080),
  right('1', 1),
  right('65535', 65_535),
  ...['0', '-1', '65536', '8080.5', '', 'HTTP', 'a_b', '*', 'a'.repeat(16), '８０８０', '__proto__'].map(wrong),
];

const big = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`k${i}`, 'x'.repeat(460)]));
const many = Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`k${i}`, 'x']));

export const METADATA: readonly Written<Readonly<Record<string, string>>>[] = [
  right('{}', {}),
  right('{"team":"rates"}', { team: 'rates' }),
  right('{"constructor":"x","toString":"y","hasOwnProperty":"z"}', {
    constructor: 'x',
    toString: 'y',
    hasOwnProperty: 'z',
  }),
  right('{"emoji":"🙂","quote":"\\"","empty":""}', { emoji: '🙂', quote: '"', empty: '' }),
  ...[
    '',
    'null',
    '{',
    '"team"',
    '["a"]',
    '{"a":1}',
    '{"a":null}',
    '{"a":{"b":"c"}}',
    '{"a":["b"]}',
    '{"a b":"c"}',
    '{"":"c"}',
    '{"é":"c"}',
    '{"a":"\\ud800"}',
    '{"pod":"other"}',
    '{"stickyTerm":"9"}',
    '{"__proto__":"x"}',
    '{"__proto__":{"polluted":"yes"}}',
    '{"constructor":{"prototype":{"polluted":"yes"}}}',
    JSON.stringify({ a: 'x'.repeat(513) }),
    JSON.stringify(big),
    JSON.stringify(many),
    '['.repeat(10_000),
  ].map(wrong),
];

/** What counts as a wish to be registered, and as none; everything else is refused. */
export const REGISTERS: readonly Written<boolean>[] = [
  right('true', true),
  right('false', false),
  ...['yes', 'TRUE', 'True', '1', '', ' true', 'true\n', 'null', '__proto__'].map(wrong),
];

/** What each annotation may hold, but for `register` and `service-name`. */
export const BY_ANNOTATION = {
  ttl: TTLS,
  'refresh-interval': INTERVALS,
  'instance-id': INSTANCE_IDS,
  'when-not-ready': WHEN_NOT_READY,
  version: VERSIONS,
  port: PORTS,
  metadata: METADATA,
} as const;

export type AnnotationName = keyof typeof BY_ANNOTATION;

/** Of a namespace, all wrong: not one field of it may count. */
export const WRONG_DEFAULTS: readonly string[] = [
  '',
  '{',
  'null',
  '["ttlSeconds"]',
  '{"ttlSeconds":1}',
  '{"ttlSeconds":60,"refreshIntervalSeconds":30}',
  '{"ttlSeconds":60,"whenNotReady":"Delete"}',
  '{"ttlSeconds":60,"serviceName":"mine"}',
  '{"ttlSeconds":60,"selector":{}}',
  '{"ttlSeconds":60,"ttl":60}',
  '{"ttlSeconds":60,"__proto__":{"polluted":"yes"}}',
  '{"ttlSeconds":60,"metadata":{"pod":"mine"}}',
];

/** One field of a spec each that no API server with the CRD would store, but an older one may have. */
export const WRONG_FIELDS: readonly (readonly [field: string, value: unknown])[] = [
  ['serviceName', 'Trading'],
  ['serviceName', 'a--b'],
  ['serviceName', 7],
  ['selector', 'app=trading'],
  ['selector', { matchLabels: { app: 1 } }],
  ['selector', { matchExpressions: [{ key: 'app', operator: 'Gt', values: ['1'] }] }],
  ['selector', { matchExpressions: [{ key: 'app', operator: 'In' }] }],
  ['ttlSeconds', 0],
  ['ttlSeconds', 2],
  ['ttlSeconds', 3601],
  ['ttlSeconds', 30.5],
  ['ttlSeconds', '30'],
  ['ttlSeconds', null],
  ['refreshIntervalSeconds', 0],
  ['refreshIntervalSeconds', 1201],
  ['instanceId', 'Random'],
  ['version', { value: '1.0.0', fromLabel: 'v' }],
  ['version', { value: '' }],
  ['version', '1.0.0'],
  ['port', 0],
  ['port', 65_536],
  ['port', '8080'],
  ['port', true],
  ['metadata', ['a']],
  ['metadata', { a: 1 }],
  ['metadata', { a: { b: 'c' } }],
  ['metadata', { pod: 'x' }],
  ['metadata', many],
  ['metadata', big],
  ['metadata', { a: 'x'.repeat(513) }],
  ['metadataFromLabels', ['1a']],
  ['metadataFromLabels', ['example.com/pod']],
  ['stickyActiveGroup', ''],
  ['stickyActiveGroup', 'a b'],
  ['stickyActiveGroup', 7],
  ['whenNotReady', 'Delete'],
  ['notReadyGraceSeconds', -1],
  ['notReadyGraceSeconds', 301],
  ['keyLayout', 'Slashed'],
  ['onConflict', 'Fight'],
  ['suspend', 'true'],
];
