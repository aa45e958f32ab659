import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { createTcpProber } from '../../../src/network/tcp-prober.ts';

const NEVER = new AbortController().signal;

test('a port that listens answers, is sent nothing, and does so no more when it is closed', async () => {
  const received: Buffer[] = [];
  const server = createServer((socket) => socket.on('data', (data) => received.push(data)).resume());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const prober = createTcpProber();
  expect(await prober.probe({ host: '127.0.0.1', port }, NEVER)).toBe('answered');
  await once(server.close(), 'close');
  expect(await prober.probe({ host: '127.0.0.1', port }, NEVER)).toBe('failed');
  expect(received).toEqual([]);
});

test('a host that does not answer fails in time, or cannot be reached at all', async () => {
  // TEST-NET-1, RFC 5737: nobody has it. Without a route it is our own machine that refuses.
  const outcome = await createTcpProber(50).probe({ host: '192.0.2.1', port: 9 }, NEVER);
  expect(['failed', 'impossible']).toContain(outcome);
});

test('names are not resolved, and a stop says nothing of the target', async () => {
  const prober = createTcpProber();
  expect(await prober.probe({ host: 'localhost', port: 80 }, NEVER)).toBe('impossible');
  expect(await prober.probe({ host: '127.0.0.1', port: 80 }, AbortSignal.abort())).toBe('impossible');
});
