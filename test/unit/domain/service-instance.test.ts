// The bytes of a value: the contract's fields in the contract's order, judged as the readers judge them; and the
// tolerant reading of what anybody stored.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { InstanceContent } from '../../../src/domain/instance.ts';
import {
  encodeInstance,
  instanceHeaders,
  ownerHeader,
  parseInstance,
  parseOwner,
} from '../../../src/domain/service-instance.ts';
import { NINE } from '../../support/builders.ts';
import { isAcceptedBy, READERS, type Reader } from '../../support/strict-readers.ts';

const values = JSON.parse(readFileSync(join(import.meta.dirname, '../../conformance/values.json'), 'utf8')) as {
  readonly cases: readonly {
    readonly name: string;
    readonly value: unknown;
    readonly acceptedBy: Readonly<Record<Reader, boolean>>;
  }[];
};

const content: InstanceContent = {
  serviceName: 'trading-service',
  version: '1.4.2',
  stickyActiveGroup: null,
  metadata: {
    start_time: '2026-11-23T16:58:41.000+08:00',
    namespace: 'trading',
    pod: 'trading-service-7c9d8f6b5-x2k4m',
    node: 'node-a',
    ip: '10.1.2.3',
    port: 8080,
    sourceVersion: 'v1.4.2',
  },
};

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test("a value is the contract's example, to the byte", () => {
  const { head, tail } = encodeInstance(content, 'trading-service-6f1d2c3b', 'ACTIVE');
  expect(`${head}2026-11-23T17:00:10.123+08:00${tail}`).toBe(
    '{"serviceName":"trading-service","instanceId":"trading-service-6f1d2c3b","version":"1.4.2","status":"ACTIVE","lastHeartbeat":"2026-11-23T17:00:10.123+08:00","stickyActiveGroup":null,"metadata":{"start_time":"2026-11-23T16:58:41.000+08:00","namespace":"trading","pod":"trading-service-7c9d8f6b5-x2k4m","node":"node-a","ip":"10.1.2.3","port":8080,"sourceVersion":"v1.4.2"}}',
  );
});

describe('the readers of the tests judge as the conformance table does', () => {
  test.each(
    values.cases.map(({ name, value, acceptedBy }) => [name, value, acceptedBy] as const),
  )('%s', (_, value, acceptedBy) => {
    expect(Object.fromEntries(READERS.map((reader) => [reader, isAcceptedBy(reader, value)]))).toEqual(acceptedBy);
  });
});

describe('a stored value', () => {
  const stored = {
    serviceName: 'web',
    instanceId: 'web-1',
    version: '1.0.0',
    status: 'UNHEALTHY',
    lastHeartbeat: '2026-11-23T17:00:00.000+08:00',
    stickyActiveGroup: null,
    metadata: { pod: 'web-1', port: 80 },
  };

  test('of ours is read whole, and encodes to the same bytes', () => {
    const { head, tail } = encodeInstance(content, 'trading-service-6f1d2c3b', 'STANDBY');
    const read = parseInstance(bytes(`${head}2026-11-23T17:00:00.000+08:00${tail}`));
    expect(read).toMatchObject({ status: 'STANDBY', lastHeartbeatMs: NINE, version: '1.4.2' });
    expect(encodeInstance(read?.content ?? content, 'trading-service-6f1d2c3b', 'STANDBY')).toEqual({ head, tail });
  });

  test.each<[string, object, object]>([
    ['with other fields', { ...stored, owner: 'x' }, { status: 'UNHEALTHY' }],
    ['without metadata', { ...stored, metadata: null }, { content: { metadata: {} } }],
    ['with nested metadata', { ...stored, metadata: { a: { b: 1 }, c: 'd' } }, { content: { metadata: { c: 'd' } } }],
    ['with a group', { ...stored, stickyActiveGroup: 'default' }, { content: { stickyActiveGroup: 'default' } }],
    ['in UTC', { ...stored, lastHeartbeat: '2026-11-23T09:00:00Z' }, { lastHeartbeatMs: NINE }],
    [
      'in snake case',
      {
        service_name: 'web',
        instance_id: 'a',
        version: '1.0.0',
        status: 'ACTIVE',
        last_heartbeat: '2026-11-23T09:00:00Z',
      },
      { status: 'ACTIVE', lastHeartbeatMs: NINE, content: { serviceName: 'web' } },
    ],
  ])('%s is read', (_, value, expected) => {
    expect(parseInstance(bytes(JSON.stringify(value)))).toMatchObject(expected);
  });

  test.each<[string, Uint8Array]>([
    ['nothing', bytes('')],
    ['no JSON', bytes('not json')],
    ['half of it', bytes(JSON.stringify(stored).slice(0, 50))],
    ['no text', Uint8Array.of(0xff, 0xfe, 0x00)],
    ['null', bytes('null')],
    ['a list', bytes('[]')],
    ['a text', bytes('"ACTIVE"')],
    ['another status', bytes(JSON.stringify({ ...stored, status: 'SHUTDOWN' }))],
    ['no heartbeat', bytes(JSON.stringify({ ...stored, lastHeartbeat: undefined }))],
    ['a number as heartbeat', bytes(JSON.stringify({ ...stored, lastHeartbeat: 1795424410 }))],
    ['a heartbeat that is no time', bytes(JSON.stringify({ ...stored, lastHeartbeat: 'now' }))],
    ['no name', bytes(JSON.stringify({ ...stored, serviceName: null }))],
    ['a megabyte', bytes(JSON.stringify({ ...stored, metadata: { a: 'x'.repeat(1_048_576) } }))],
  ])('that is %s is no instance', (_, body) => {
    expect(parseInstance(body)).toBeUndefined();
  });

  test('with keys that objects have pollutes nothing', () => {
    const text = JSON.stringify(stored).replace('"pod":"web-1"', '"__proto__":"x","constructor":"y"');
    const metadata = parseInstance(bytes(text))?.content.metadata ?? {};
    expect(Object.keys(metadata)).toEqual(['__proto__', 'constructor', 'port']);
    expect(JSON.stringify(metadata)).toContain('"__proto__":"x"');
  });
});

describe('owners', () => {
  const pod = { namespace: 'trading', name: 'trading.0', uid: '6f1d2c3b-4a59-4e0f-8d7c-1b2a39485766' };

  test('a header and back', () => {
    expect(ownerHeader('cluster-a', pod)).toBe('cluster-a/trading/trading.0/6f1d2c3b-4a59-4e0f-8d7c-1b2a39485766');
    expect(parseOwner(ownerHeader('cluster-a', pod))).toEqual({ operatorId: 'cluster-a', ...pod });
  });

  test.each(['a/b', 'a\r\nX: y', '', 'ü', '%', '%2F', '\ud800'])('the UID %j breaks no header', (uid) => {
    const header = ownerHeader('a', { ...pod, uid });
    expect(header).toMatch(/^[\x21-\x7e]+$/);
    const read = parseOwner(header);
    expect(read?.uid).toBe(uid === '' ? undefined : uid.toWellFormed());
  });

  test.each([
    '',
    'a',
    'a/b/c',
    'a/b/c/',
    'a//c/d',
    'a/b/c/d/e',
    'A/b/c/d',
    '-a/b/c/d',
    'a/b/c/%',
    '///',
  ])('%j is no owner', (text) => {
    expect(parseOwner(text)).toBeUndefined();
  });

  test('the lines of a message', () => {
    expect(instanceHeaders('cluster-a', pod, 42, 'Registered')).toBe(
      `Rollcall-Owner: ${ownerHeader('cluster-a', pod)}\r\nRollcall-Term: 42\r\nRollcall-Schema: 1\r\nRollcall-Reason: Registered\r\n`,
    );
  });
});
