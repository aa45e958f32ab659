// The annotation `defaults` of a namespace: taken whole, or refused with the field that is wrong.

import { describe, expect, test } from 'vitest';
import { readNamespaceDefaults } from '../../../src/domain/namespace-defaults.ts';
import { resolveSettings } from '../../../src/domain/settings.ts';
import { someDefaults } from '../../support/builders.ts';

test.each<[string, object]>([
  ['{}', {}],
  ['{"ttlSeconds":60,"refreshIntervalSeconds":20}', { ttlSeconds: 60, refreshIntervalSeconds: 20 }],
  ['{"whenNotReady":"Remove","suspend":true}', { whenNotReady: 'Remove', suspend: true }],
  ['{"version":{"fromLabel":"release"},"port":"http"}', { version: { fromLabel: 'release' }, port: 'http' }],
  ['{"metadata":{"team":"rates"}}', { metadata: { team: 'rates' } }],
])('%s is taken', (text, value) => {
  expect(readNamespaceDefaults(text)).toEqual({ kind: 'valid', value });
});

describe('refused as a whole, with the reason', () => {
  test.each<[string, string]>([
    ['', 'it must be a JSON object of spec fields'],
    ['ttlSeconds: 60', 'it must be a JSON object of spec fields'],
    ['[]', 'it must be a JSON object of spec fields'],
    ['null', 'it must be a JSON object of spec fields'],
    ['"x"', 'it must be a JSON object of spec fields'],
    [`{"metadata":{"a":"${'x'.repeat(70_000)}"}}`, 'it must be a JSON object of spec fields'],
    ['{"ttl":60}', 'ttl'],
    ['{"serviceName":"web"}', 'serviceName'],
    ['{"selector":{}}', 'selector'],
    ['{"__proto__":{"ttlSeconds":60}}', 'it must be a JSON object of spec fields'],
    ['{"constructor":1}', 'constructor'],
    ['{"ttlSeconds":"60"}', 'ttlSeconds: '],
    ['{"ttlSeconds":60.5}', 'ttlSeconds: '],
    ['{"ttlSeconds":2,"port":"http"}', 'ttlSeconds: '],
    ['{"ttlSeconds":null}', 'ttlSeconds: '],
    ['{"ttlSeconds":30,"refreshIntervalSeconds":11}', 'refreshIntervalSeconds: '],
    ['{"metadata":{"pod":"x"}}', 'metadata: '],
    ['{"metadata":{"__proto__":"x"}}', 'it must be a JSON object of spec fields'],
    ['{"version":{"value":"1","fromLabel":"a"}}', 'version: at most one'],
  ])('%j', (text, reason) => {
    const answer = readNamespaceDefaults(text);
    expect(answer).toMatchObject({ kind: 'invalid', problem: expect.stringContaining(reason) });
    expect(Object.prototype).not.toHaveProperty('ttlSeconds');
  });
});

describe('the settings that follow', () => {
  const settled = (spec: object, stated: object) => {
    const resolved = resolveSettings(spec, 'web', { ...someDefaults, ...stated });
    return resolved.kind === 'valid' ? resolved.value : resolved.problem;
  };

  test('a field of the spec counts before a default, whole', () => {
    expect(
      settled({ ttlSeconds: 90, metadata: { a: 'b' } }, { ttlSeconds: 60, metadata: { c: 'd' }, port: 'http' }),
    ).toMatchObject({ ttlSeconds: 90, metadata: { a: 'b' }, port: 'http', refreshIntervalSeconds: 10 });
  });

  test("a default interval gives way to the TTL, the resource's own does not", () => {
    expect(settled({ ttlSeconds: 12 }, { refreshIntervalSeconds: 9 })).toMatchObject({ refreshIntervalSeconds: 4 });
    expect(settled({ refreshIntervalSeconds: 10 }, { ttlSeconds: 15 })).toBe(
      'spec.refreshIntervalSeconds: 10 is more than a third of the TTL in force, 15 s',
    );
  });
});
