// Ports: what annotations may say, and what becomes of a pod's declared ports.

import { describe, expect, test } from 'vitest';
import type { ContainerPort } from '../../../src/domain/pod.ts';
import { parsePort, resolvePort } from '../../../src/domain/port.ts';
import { aPod } from '../../support/builders.ts';

test.each<[string, string | number | undefined]>([
  ['8080', 8080],
  ['1', 1],
  ['65535', 65535],
  ['http', 'http'],
  ['a-1', 'a-1'],
  ['8a', '8a'],
  ['0', undefined],
  ['65536', undefined],
  ['080', undefined],
  ['-1', undefined],
  ['1.5', undefined],
  ['1e3', '1e3'],
  ['', undefined],
  ['HTTP', undefined],
  ['-a', undefined],
  ['a-', undefined],
  ['a'.repeat(16), undefined],
  ['８０', undefined],
])('the annotation %j', (text, port) => {
  expect(parsePort(text)).toBe(port);
});

describe('of a pod', () => {
  const http = { name: 'http', port: 8080 };
  const metrics = { name: 'metrics', port: 9090 };

  test.each<[string, readonly ContainerPort[], string | number | undefined, number | undefined]>([
    ['the only one', [http], undefined, 8080],
    ['none of two', [http, metrics], undefined, undefined],
    ['one number under two protocols', [{ port: 53 }, { name: 'udp', port: 53 }], undefined, 53],
    ['none of none', [], undefined, undefined],
    ['by name', [http, metrics], 'metrics', 9090],
    ['by an unknown name', [http], 'grpc', undefined],
    ['by number', [http, metrics], 9090, 9090],
    ['by an undeclared number', [http], 7070, 7070],
  ])('%s', (_, ports, wanted, expected) => {
    const containers = ports.map((port, i) => ({ name: `c${i}`, image: '', ports: [port] }));
    expect(resolvePort(aPod({ containers }), wanted)).toBe(expected);
  });
});
