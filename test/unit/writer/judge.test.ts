import { describe, expect, test } from 'vitest';
import { judge } from '../../../src/writer/judge.ts';
import { orphanOf } from '../../../src/writer/orphan.ts';
import type { StoredMessage } from '../../../src/writer/registry.ts';
import { NINE, someDefaults } from '../../support/builders.ts';

const POD = { namespace: 'trading', name: 'trading-1', uid: 'u-1' };
const CONTEXT = { operatorId: 'us', nowMs: 50_000, serverWallMs: NINE + 12_000 };
const VALUE =
  '{"serviceName":"trading-service","instanceId":"i","version":"1.4.2","status":"ACTIVE","lastHeartbeat":"2026-11-23T17:00:00.000+08:00","stickyActiveGroup":null,"metadata":{}}';

const aMessage = (message: Partial<StoredMessage> = {}, owner: string | null = 'us/trading/trading-1/u-1') =>
  ({
    subject: '$KV.service-registry.service-instances.trading-service.i-1',
    revision: 5,
    storedAtMs: NINE,
    operation: 'PUT',
    ttlSeconds: 30,
    headers: owner === null ? {} : { 'Rollcall-Owner': owner },
    body: Buffer.from(VALUE),
    ...message,
  }) satisfies StoredMessage;

describe('judge', () => {
  const cases: [string, StoredMessage | undefined, object][] = [
    ['nothing', undefined, { kind: 'none', revision: 0 }],
    ['a marker', aMessage({ operation: 'MaxAge' }), { kind: 'none', revision: 5 }],
    ['a purge', aMessage({ operation: 'PURGE' }), { kind: 'none', revision: 5 }],
    ['ours', aMessage(), { kind: 'ours', status: 'ACTIVE', writtenAtMs: 38_000, ttlMs: 30_000, heartbeatMs: NINE }],
    ['ours, of the pod before', aMessage({}, 'us/trading/trading-1/u-0'), { kind: 'ours' }],
    ['ours, bytes that are no value', aMessage({ body: Buffer.from('{') }), { kind: 'ours', status: 'UNHEALTHY' }],
    ['without an owner', aMessage({}, null), { kind: 'foreign', owner: 'a client without an owner header' }],
    [
      'an owner header that is none',
      aMessage({}, 'us'),
      { kind: 'foreign', owner: 'a client with the owner header us' },
    ],
    [
      'another operator, another pod',
      aMessage({}, 'they/trading/trading-1/u-9'),
      { kind: 'foreign', owner: 'installation they for pod trading/trading-1' },
    ],
    [
      'another operator, another pod, not written for long',
      aMessage({ storedAtMs: NINE - 10_000 }, 'they/trading/trading-1/u-9'),
      { kind: 'foreign' },
    ],
    [
      'another operator, our pod, without a TTL',
      { ...aMessage({ storedAtMs: NINE - 10_000_000 }, 'they/trading/trading-1/u-1'), ttlSeconds: 0 },
      { kind: 'foreign' },
    ],
    ['another operator, our pod, fresh', aMessage({}, 'they/trading/trading-1/u-1'), { kind: 'foreign' }],
    [
      'another operator, our pod, not written for half of its TTL',
      aMessage({ storedAtMs: NINE - 4_000 }, 'they/trading/trading-1/u-1'),
      { kind: 'ours' },
    ],
    [
      'a term in the future',
      aMessage({ headers: { 'Rollcall-Owner': 'us/a/b/c', 'Rollcall-Term': '999999999999' } }),
      { kind: 'ours' },
    ],
  ];
  test.each(cases)('%s', (_name, message, observed) => {
    expect(judge(message, POD, CONTEXT)).toMatchObject(observed);
  });
});

describe('orphanOf', () => {
  const policy = () => someDefaults;
  test('a key of ours without a pod gets a farewell that repeats its content', () => {
    const orphan = orphanOf(aMessage(), 'service-registry', 'us', policy);
    expect(orphan).toMatchObject({
      instanceId: 'i-1',
      wish: {
        pod: POD,
        serviceName: 'trading-service',
        state: { kind: 'away' },
        ttlMs: 30_000,
        content: { version: '1.4.2' },
      },
    });
  });
  const left: [string, StoredMessage][] = [
    ['of another operator', aMessage({}, 'they/trading/trading-1/u-1')],
    ['a marker', aMessage({ operation: 'MaxAge' })],
    ['no value', aMessage({ body: Buffer.from('nonsense') })],
    ['a value that readers would refuse', aMessage({ body: Buffer.from(VALUE.replace('1.4.2', 'v1')) })],
    ['a value of another service', aMessage({ body: Buffer.from(VALUE.replace('trading-service', 'other-service')) })],
    ['half a surrogate pair', aMessage({ body: Buffer.from(VALUE.replace('{}', '{"a":"\\ud800"}')) })],
    [
      'more than a value may hold',
      aMessage({ body: Buffer.from(VALUE.replace('{}', `{"a":"${'x'.repeat(9_000)}"}`)) }),
    ],
    ['no key of ours', aMessage({ subject: '$KV.service-registry.sticky-active.x' })],
  ];
  test.each(left)('left to lapse: %s', (_name, message) => {
    expect(orphanOf(message, 'service-registry', 'us', policy)).toBeUndefined();
  });
});

test.each([
  [90.5, 91],
  [2 ** 63, 3_600],
  [0.2, 1],
])('a value in our name with a TTL of %d s gets a farewell with one of %d s', (ttlSeconds, farewellSeconds) => {
  const orphan = orphanOf(aMessage({ ttlSeconds }), 'service-registry', 'us', () => someDefaults);
  expect(orphan?.wish.ttlMs).toBe(farewellSeconds * 1_000);
});
