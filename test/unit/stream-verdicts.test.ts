// The judge is judged: each fault that the verdicts on the stream are there to find, planted into a record that is well.

import { describe, expect, test } from 'vitest';
import type { InstanceValue, Sighting } from '../support/stream-observer.ts';
import {
  breaches,
  lapseDelays,
  lapses,
  oldestRefresh,
  sharedRoles,
  slanders,
  terms,
} from '../support/stream-verdicts.ts';

const NOON = Date.UTC(2026, 10, 23, 12);
const UID = '6f1d2c3b-4a59-4e0f-8d7c-1b2a39485766';
const KEY = 'service-instances.trading-service.trading-service-6f1d2c3b';

type Change = {
  readonly key?: string;
  readonly body?: string;
  readonly value?: Partial<InstanceValue>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly without?: string;
  readonly atMs?: number;
  readonly operation?: string;
};

/** A write of ours `atMs` after noon. */
const aWrite = ({
  key = KEY,
  value,
  headers,
  without = '',
  atMs = 0,
  operation = 'PUT',
  body,
}: Change = {}): Sighting => {
  const written: InstanceValue = {
    serviceName: 'trading-service',
    instanceId: key.split('.')[2] ?? '',
    version: '1.4.2',
    status: 'ACTIVE',
    lastHeartbeat: new Date(NOON + atMs).toISOString(),
    stickyActiveGroup: null,
    metadata: { start_time: '2026-11-23T11:00:00.000Z', namespace: 'trading', pod: 'trading-1' },
    ...value,
  };
  const all = {
    'Nats-TTL': '30',
    'Rollcall-Owner': `op/trading/trading-1/${UID}`,
    'Rollcall-Term': '7',
    'Rollcall-Schema': '1',
    'Rollcall-Reason': 'Refresh',
    ...headers,
  };
  const text = body ?? JSON.stringify(written);
  return {
    seq: 0,
    atMs,
    storedAtMs: NOON + atMs,
    subject: `$KV.service-registry.${key}`,
    key,
    headers: Object.fromEntries(Object.entries(all).filter(([name]) => name !== without)),
    body: text,
    operation,
    podUid: all['Rollcall-Owner'].split('/').at(-1) ?? '',
    value: text === JSON.stringify(written) ? written : undefined,
  };
};

const aMarker = (atMs: number, operation = 'MaxAge', key = KEY): Sighting => ({
  ...aWrite({ key, atMs, operation, body: '' }),
  headers: { 'Nats-Marker-Reason': 'MaxAge', 'Nats-TTL': '60' },
  podUid: '',
});

const record = (...messages: readonly Sighting[]) => ({
  messages: messages.map((message, index) => ({ ...message, seq: index + 1 })),
});
const always = () => true;

const anAnnouncement = (atMs: number): Sighting => ({
  ...aWrite({ atMs, body: '' }),
  subject: '$ROLLCALL.service-registry.op.replica.host-1-0a1b2c3d',
  key: undefined,
  headers: { 'Nats-TTL': '6', 'Rollcall-Version': '0.1.0' },
  podUid: '',
});

const well = [
  aWrite({ headers: { 'Rollcall-Reason': 'Registered' } }),
  aWrite({ atMs: 10_000 }),
  aWrite({ atMs: 20_000, headers: { 'Rollcall-Term': '9' } }),
  // Of no term, and so no excuse for what follows.
  anAnnouncement(21_000),
];

test('a record that is well has no fault', () => {
  const good = record(...well);
  expect(breaches(good)).toEqual([]);
  expect(lapses(good, always)).toEqual([]);
  expect(slanders(good, always)).toEqual([]);
  expect(oldestRefresh(good)).toEqual({ ageMs: 10_000, key: KEY });
  expect(terms(good.messages)).toEqual([7, 9]);
});

describe('found', () => {
  test.each<[string, Sighting, RegExp]>([
    ['a message without TTL', aWrite({ atMs: 30_000, without: 'Nats-TTL', headers: { 'Rollcall-Term': '9' } }), /I11/],
    ['an older term after a newer one', aWrite({ atMs: 30_000, headers: { 'Rollcall-Term': '8' } }), /I6/],
    ['a value of no term', aWrite({ atMs: 30_000, headers: { 'Rollcall-Term': 'none' } }), /no term \(I6\)/],
    ['a heartbeat that stands still', aWrite({ atMs: 20_000, headers: { 'Rollcall-Term': '9' } }), /I14/],
    ['one field more', aWrite({ atMs: 30_000, body: '{"serviceName":"a","more":1}' }), /no instance/],
    ['a version that readers refuse', aWrite({ atMs: 30_000, value: { version: 'v1' } }), /version v1/],
    [
      'a value that one reader alone would not show, printed whole',
      aWrite({ atMs: 30_000, body: '{"serviceName":"ts","instanceId":"a","version":"1.0.0","lastHeartbeat":"x"}' }),
      /monitor-api refuses the name ts: \{"serviceName":"ts",.*"x"\}/,
    ],
    ['a value under another key', aWrite({ atMs: 30_000, value: { instanceId: 'other' } }), /disagree/],
    ['a wildcard in the key', aWrite({ atMs: 30_000, key: 'service-instances.trading-service.*' }), /grammar/],
    ['a second key of the pod', aWrite({ atMs: 30_000, key: `${KEY}-2` }), /I3/],
    ['a write outside our subjects', aWrite({ atMs: 30_000, key: 'sticky-active.x' }), /I7/],
    ['metadata out of order', aWrite({ atMs: 30_000, value: { metadata: { pod: 'a', namespace: 'b' } } }), /order/],
  ])('%s', (_, fault, sentence) => {
    expect(breaches(record(...well, fault)).join('\n')).toMatch(sentence);
  });

  const member = (name: string, atMs: number, stickyTerm?: number, separator = '.'): Sighting =>
    aWrite({
      key: ['service-instances', 'trading-service', name].join(separator),
      atMs,
      headers: { 'Rollcall-Owner': `op/trading/${name}/uid-of-${name}`, 'Rollcall-Term': '9' },
      value: {
        status: stickyTerm === undefined ? 'STANDBY' : 'ACTIVE',
        stickyActiveGroup: 'blue',
        metadata: { pod: name, ...(stickyTerm === undefined ? {} : { stickyTerm }) },
      },
    });

  test.each<[string, readonly Sighting[], RegExp]>([
    ['ACTIVE before STANDBY', [member('a', 0, 5), member('b', 1, 8), member('a', 1)], /ACTIVE beside .*a \(I5\)/],
    [
      'another pod under a key of another form',
      [member('a', 0, 5), member('b', 1, 8, '_')],
      /ACTIVE beside .*a \(I5\)/,
    ],
    ['a promotion by an old term', [member('a', 0, 5), member('a', 1), member('b', 1, 5)], /term 5 after 5 \(I5\)/],
    ['a refresh by another term', [member('a', 0, 5), member('a', 1, 6)], /term 6 after 5 \(I5\)/],
    [
      'a term of one that is not ACTIVE',
      [aWrite({ value: { status: 'STANDBY', metadata: { stickyTerm: 1 } } })],
      /with a term \(I5\)/,
    ],
  ])('%s', (_, fault, sentence) => {
    expect(breaches(record(...fault)).join('\n')).toMatch(sentence);
  });

  test('a role that is handed over is no fault, nor one that lapsed', () => {
    const lapsed = { ...aMarker(40_000), key: 'service-instances.trading-service.b' };
    const fine = [member('a', 0, 5), member('a', 1), member('b', 1, 8), member('b', 2, 8), lapsed, member('a', 3, 9)];
    expect(sharedRoles(fine)).toEqual([]);
  });

  test('nor is one of a key whose lapse was not seen', () => {
    expect(sharedRoles([member('a', 0, 5), member('a', 30_001, 9)])).toEqual([]);
    expect(sharedRoles([member('a', 0, 5), member('a', 30_001, 5)])).toEqual([]);
    expect(sharedRoles([member('a', 0, 5), member('a', 29_000, 9)])).toHaveLength(1);
    expect(sharedRoles([member('a', 0, 5), member('a', 30_001, 4)])).toHaveLength(1);
  });

  test('a pod with keys of two forms is one member, and each form has its terms', () => {
    const fine = [member('a', 0, 5), member('a', 1, 8, '_'), member('a', 2, 5), member('a', 3, 8, '_')];
    const handedOver = [member('a', 4), member('a', 5, undefined, '_'), member('b', 6, 9), member('b', 7, 9, '_')];
    expect(sharedRoles([...fine, ...handedOver])).toEqual([]);
    expect(sharedRoles([...fine, member('b', 6, 9, '_')])).toHaveLength(2);
  });

  test('fields in another order', () => {
    const { body } = aWrite();
    const [first, ...rest] = Object.entries(JSON.parse(body));
    const turned = JSON.stringify(Object.fromEntries([...rest, first ?? ['', '']]));
    const sighting = { ...aWrite({ atMs: 30_000 }), body: turned };
    expect(breaches(record(sighting)).join()).toMatch(/fields version|fields instanceId/);
  });

  test.each<[string, Sighting]>([
    ['a lapse', aMarker(50_000)],
    ['a purge', aMarker(50_000, 'PURGE')],
    ['a key registered anew where one stood', aWrite({ atMs: 50_000, headers: { 'Rollcall-Reason': 'Registered' } })],
  ])('%s of a Ready pod', (_, fault) => {
    expect(lapses(record(...well, fault), always)).toHaveLength(1);
    expect(lapses(record(...well, fault), (uid) => uid !== UID)).toEqual([]);
  });

  test('a Ready pod called UNHEALTHY, and then written ACTIVE again without a lapse', () => {
    const down = aWrite({ atMs: 30_000, value: { status: 'UNHEALTHY' } });
    const up = aWrite({ atMs: 31_000, headers: { 'Rollcall-Reason': 'Registered' } });
    expect(slanders(record(...well, down, up), always)).toHaveLength(1);
    expect(lapses(record(...well, down, up), always)).toEqual([]);
  });

  test('the longest time without a refresh, also one that ends in a lapse or not at all', () => {
    expect(oldestRefresh(record(...well, aMarker(50_100))).ageMs).toBe(30_100);
    const lock = { ...aWrite({ atMs: 45_000 }), key: undefined, subject: '$ROLLCALL.service-registry.op.lock' };
    expect(oldestRefresh(record(...well, lock)).ageMs).toBe(25_000);
    expect(lapseDelays(record(...well, aMarker(50_100)))).toEqual([30_100]);
  });
});
