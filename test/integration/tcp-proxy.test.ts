// The suite's TCP proxy does what its modes say: a proxy that forwards while it should hold would make every fault
// test pass for nothing.

import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';

let echo: Server;
let proxy: TcpProxy;
let client: Socket;
let received: string;

const dial = () => {
  const socket = connect({ port: proxy.port, host: '127.0.0.1' });
  socket.on('data', (piece) => {
    received += piece.toString();
  });
  socket.on('error', () => {});
  return socket;
};
const closed = (socket: Socket) => new Promise<void>((resolve) => socket.once('close', () => resolve()));
const silence = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

beforeEach(async () => {
  received = '';
  echo = createServer((socket) => {
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', () => resolve()));
  const address = echo.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  proxy = await startTcpProxy({ port: address.port });
  client = dial();
  client.write('a');
  await expect.poll(() => received).toBe('a');
});

afterEach(async () => {
  client.destroy();
  await proxy.close();
  await new Promise<void>((resolve) => echo.close(() => resolve()));
});

test('hold stops the bytes and keeps the connection; pass lets them flow on', async () => {
  proxy.hold();
  client.write('b');
  await silence(80);
  expect(received).toBe('a');
  expect(proxy.connections()).toBe(1);
  proxy.pass();
  await expect.poll(() => received).toBe('ab');
});

test('hold in one direction only', async () => {
  proxy.hold('toClient');
  client.write('b');
  await silence(50);
  proxy.hold('toServer');
  await expect.poll(() => received).toBe('ab');
  client.write('c');
  await silence(50);
  expect(received).toBe('ab');
});

test('a new connection under hold is accepted and sees nothing', async () => {
  proxy.hold();
  const second = dial();
  second.write('x');
  await silence(80);
  expect(received).toBe('a');
  second.destroy();
});

test('strand holds what is there for good and lets new connections pass', async () => {
  proxy.strand();
  client.write('b');
  proxy.pass();
  await silence(80);
  expect(received).toBe('a');
  const second = dial();
  second.write('x');
  await expect.poll(() => received).toBe('ax');
  second.destroy();
});

test('cut resets the old connection and every new one until pass', async () => {
  proxy.cut();
  await closed(client);
  await closed(dial());
  expect(proxy.connections()).toBe(0);
  proxy.pass();
  client = dial();
  client.write('z');
  await expect.poll(() => received).toBe('az');
});

test('breakOnce resets what is there and lets new connections through', async () => {
  proxy.breakOnce();
  await closed(client);
  client = dial();
  client.write('z');
  await expect.poll(() => received).toBe('az');
  expect(proxy.accepted()).toBe(2);
});

test('delay: a round trip takes twice the delay', async () => {
  proxy.delay(60);
  const startedMs = performance.now();
  client.write('b');
  await expect.poll(() => received, { interval: 2 }).toBe('ab');
  expect(performance.now() - startedMs).toBeGreaterThanOrEqual(115);
});

test('narrow: bytes per second are bounded', async () => {
  proxy.narrow(1_000_000);
  const startedMs = performance.now();
  client.write('x'.repeat(300_000));
  await expect.poll(() => received.length, { interval: 2, timeout: 5_000 }).toBe(300_001);
  expect(performance.now() - startedMs).toBeGreaterThanOrEqual(200);
});

test('lose: stalls of 200 ms and more, and everything in order in the end', async () => {
  proxy.lose(0.1);
  const sent = Array.from({ length: 100 }, (_, piece) => `<${piece}>`);
  let longestMs = 0;
  let lastMs = performance.now();
  client.on('data', () => {
    longestMs = Math.max(longestMs, performance.now() - lastMs);
    lastMs = performance.now();
  });
  for (const piece of sent) {
    client.write(piece);
    await silence(2);
  }
  await expect.poll(() => received, { timeout: 60_000 }).toBe(`a${sent.join('')}`);
  expect(longestMs).toBeGreaterThanOrEqual(190);
});

test('what a client sent before it gave up arrives when the hold is over', async () => {
  let atServer = '';
  echo.on('connection', (socket) => socket.on('data', (piece) => (atServer += piece.toString())));
  const second = dial();
  second.write('x');
  await expect.poll(() => atServer).toBe('x');
  proxy.hold('toServer');
  second.write('late');
  await silence(50);
  second.resetAndDestroy();
  await silence(50);
  expect(proxy.heldBytes()).toBe(4);
  expect(atServer).toBe('x');
  proxy.pass();
  await expect.poll(() => atServer).toBe('xlate');
});
