// What the adapter makes of the server's texts: replies to a commit, reply subjects of deliveries, TTLs, addresses.

import { headers, type Msg } from '@nats-io/transport-node';
import { describe, expect, test } from 'vitest';
import { outcomeOf } from '../../src/nats/batch.ts';
import { addresses } from '../../src/nats/credentials.ts';
import { fromDelivery, parseTtl } from '../../src/nats/stored-message.ts';

const error = (code: number, err_code: number, description: string) =>
  JSON.stringify({ error: { code, err_code, description }, stream: 'KV_b', seq: 0 });

describe('the reply to a commit', () => {
  test.each<[string, string, object]>([
    ['ack', '{"stream":"KV_b","seq":12,"batch":"x","count":3}', { kind: 'committed', lastRevision: 12 }],
    ['conflict', error(400, 10071, 'wrong last sequence: 41'), { kind: 'conflict', actualRevision: 41 }],
    [
      'conflict with an empty subject',
      error(400, 10071, 'wrong last sequence: 0'),
      { kind: 'conflict', actualRevision: 0 },
    ],
    ['conflict in other words', error(400, 10071, 'sequence mismatch'), { kind: 'conflict', actualRevision: 0 }],
    ['in-flight conflict', error(400, 10164, 'wrong last sequence'), { kind: 'retry' }],
    ['too many requests', error(429, 10167, 'too many requests'), { kind: 'retry' }],
    ['no peers', error(400, 10005, 'no suitable peers for placement'), { kind: 'retry' }],
    ['incomplete', error(400, 10176, 'atomic publish batch is incomplete'), { kind: 'retry' }],
    ['too many batches', error(429, 10210, 'atomic publish too many inflight'), { kind: 'retry' }],
    ['unknown, of the server', error(503, 19999, 'new trouble'), { kind: 'retry' }],
    ['unknown, of ours', error(400, 19998, 'new rule'), { kind: 'rejected', reason: 'Other' }],
    ['bad TTL', error(400, 10165, 'invalid per-message TTL'), { kind: 'rejected', reason: 'Unsupported' }],
    ['TTL off', error(400, 10166, 'per-message TTL is disabled'), { kind: 'rejected', reason: 'Unsupported' }],
    ['batches off', error(400, 10174, 'atomic publish is disabled'), { kind: 'rejected', reason: 'Unsupported' }],
    ['too large', error(400, 10054, 'message size exceeds maximum allowed'), { kind: 'rejected', reason: 'TooLarge' }],
    ['full', error(503, 10077, 'maximum bytes exceeded'), { kind: 'rejected', reason: 'Full' }],
    ['no resources', error(503, 10023, 'insufficient resources'), { kind: 'rejected', reason: 'Full' }],
    ['no stream', error(404, 10059, 'stream not found'), { kind: 'rejected', reason: 'NoStream' }],
    ['another stream', '{"stream":"OTHER","seq":12,"count":3}', { kind: 'rejected', reason: 'NoStream' }],
    ['an ack of one message alone', '{"stream":"KV_b","seq":12}', { kind: 'unknown' }],
    ['garbage', '<html>', { kind: 'unknown' }],
    ['nothing', '', { kind: 'unknown' }],
    ['null', 'null', { kind: 'unknown' }],
  ])('%s', (_name, reply, outcome) => {
    expect(outcomeOf(reply, 'KV_b', 3)).toMatchObject(outcome);
  });
});

describe('the reply subject of a delivery', () => {
  test.each([
    ['short', '$JS.ACK.KV_b.consumer.1.77.3.1795444806787375759.5'],
    ['long', '$JS.ACK.hub.ACCHASH.KV_b.consumer.1.77.3.1795444806787375759.5'],
    ['long with a token behind', '$JS.ACK._.ACCHASH.KV_b.consumer.1.77.3.1795444806787375759.5.r4nd0m'],
  ])('%s', (_name, reply) => {
    expect(fromDelivery(aMessage(reply))).toMatchObject({
      message: { subject: '$KV.b.k', revision: 77, storedAtMs: 1_795_444_806_787, operation: 'PUT', headers: {} },
      deliverySequence: 3,
      pending: 5,
    });
  });

  test.each(['', '_INBOX.x', '$JS.ACK.too.short', '$JS.FC.KV_b.x.y.z.a.b.c'])('is none: %j', (reply) => {
    expect(fromDelivery(aMessage(reply))).toBeUndefined();
  });

  test.each([
    ['KV-Operation', 'PURGE', 'PURGE'],
    ['KV-Operation', 'DEL', 'DEL'],
    ['KV-Operation', 'odd', 'PUT'],
    ['Nats-Marker-Reason', 'MaxAge', 'MaxAge'],
    ['Nats-Marker-Reason', 'Remove', 'Remove'],
    ['Nats-Marker-Reason', 'Purge', 'PURGE'],
  ])('%s: %s is a %s', (name, value, operation) => {
    const delivery = fromDelivery(aMessage('$JS.ACK.KV_b.c.1.77.3.1795444806787375759.5', { [name]: value }));
    expect(delivery?.message.operation).toBe(operation);
  });
});

test.each([
  ['30', 30],
  ['0', undefined],
  ['30s', 30],
  ['1m0s', 60],
  ['1h0m1s', 3_601],
  ['never', undefined],
  ['', undefined],
])('TTL %j is %s s', (ttl, seconds) => {
  expect(parseTtl(ttl)).toBe(seconds);
});

test('addresses are free of user parts', () => {
  expect(addresses(['nats://a:1', 'tls://u:p@ss@b:2', 'token@c', 'd:4'])).toEqual([
    'nats://a:1',
    'tls://b:2',
    'c',
    'd:4',
  ]);
});

function aMessage(reply: string, header: Record<string, string> = {}): Msg {
  const block = headers();
  for (const [name, value] of Object.entries(header)) block.set(name, value);
  const unused = () => {
    throw new Error('not for this test');
  };
  const data = new Uint8Array(0);
  return { subject: '$KV.b.k', sid: 1, reply, headers: block, data, respond: unused, json: unused, string: unused };
}
