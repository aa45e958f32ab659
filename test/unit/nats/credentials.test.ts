// What a connection says of itself, by its settings.

import { expect, test } from 'vitest';
import { addresses, authenticator, tlsOptions } from '../../../src/nats/credentials.ts';

const saidFor = (server: string) => authenticator({ servers: [server] }, () => undefined)('nonce');

test.each([
  ['nats://user:word@nats:4222', { user: 'user', pass: 'word' }],
  ['nats://user:a%40b@nats:4222', { user: 'user', pass: 'a@b' }],
  ['nats://user:100%sure@nats:4222', { user: 'user', pass: '100%sure' }],
  ['nats://a-token@nats:4222', { auth_token: 'a-token' }],
  ['nats://nats:4222', {}],
])('the user part of %s', (server, said) => {
  expect(saidFor(server)).toEqual(said);
  expect(addresses([server])).toEqual(['nats://nats:4222']);
});

test('TLS is asked for by its settings or by the address, and else left to the server', () => {
  expect(tlsOptions({ servers: ['nats://nats:4222'] })).toBeUndefined();
  expect(tlsOptions({ servers: ['tls://nats:4222'] })).toEqual({});
  expect(tlsOptions({ servers: ['nats://nats:4222'], caFile: 'ca.pem' })).toEqual({ caFile: 'ca.pem' });
});
