// A read-back from servers that make no haste: one that lags behind the stream, one that is lost before it answers. The
// connection is played; how real servers deliver is in test/integration/registry.test.ts.

import type { Msg } from '@nats-io/transport-node';
import { expect, test } from 'vitest';
import { type Connection, LinkError } from '../../../src/nats/connection.ts';
import { readBack } from '../../../src/nats/read-back.ts';
import { RegistryError } from '../../../src/writer/registry.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const LAST_REVISION = 100;
const HEARTBEAT_MS = 100;

/** Whose server has seen the stream up to `seen()`, and answers to the creation of a consumer when `answers()`. */
const aReadBack = (seen: (ms: number) => number, answers: (attempt: number) => boolean = () => true) => {
  const clock = new FakeClock();
  const startedAtMs = clock.monotonicMs();
  const down = new AbortController();
  const names: string[] = [];
  const hearts: (() => void)[] = [];
  const link = { nc: { publish: () => undefined }, down: down.signal };
  const connection = {
    link: () => link,
    inboxPrefix: () => '_INBOX_test',
    subscribe: (_: unknown, subject: string, onMessage: (message: Msg) => void) => {
      const beat = () => {
        const told: Record<string, string> = {
          'Nats-Last-Consumer': '0',
          'Nats-Last-Stream': String(seen(clock.monotonicMs() - startedAtMs)),
        };
        const headers = { code: 100, get: (name: string) => told[name] ?? '' };
        onMessage({ subject, headers } as unknown as Msg);
      };
      return { unsubscribe: () => void hearts.splice(hearts.indexOf(beat), 1), beat };
    },
    request: async (subject: string, payload: string, timeoutMs: number, signal: AbortSignal) => {
      if (!subject.includes('.CREATE.')) return { string: () => '{}' };
      const { name } = (JSON.parse(payload) as { readonly config: { readonly name: string } }).config;
      if (!names.includes(name)) names.push(name);
      if (answers(names.length)) return { string: () => '{}' };
      await clock.sleep(timeoutMs, signal);
      throw new LinkError('timeout', true, 'no answer in time');
    },
  };
  const { subscribe } = connection;
  connection.subscribe = (...args) => {
    const subscription = subscribe(...args);
    if (answers(names.length + 1)) hearts.push(subscription.beat);
    return subscription;
  };
  const reading = (async () => {
    const context = { connection: connection as unknown as Connection, stream: 'KV_test', clock };
    const options = { filters: ['>'], lastRevision: LAST_REVISION, leaves: 'nothing', bitsPerSecond: 1e8 } as const;
    for await (const _ of readBack(context, { ...options, onArrival: () => undefined }, new AbortController().signal));
  })();
  let outcome: string | undefined;
  reading.then(
    () => {
      outcome = 'read';
    },
    (error: unknown) => {
      outcome = error instanceof RegistryError ? error.message : `not ours: ${String(error)}`;
    },
  );
  /** The ms until it was over, and how. */
  const over = async (limitMs: number) => {
    while (outcome === undefined && clock.monotonicMs() - startedAtMs < limitMs) {
      await clock.advance(HEARTBEAT_MS);
      for (const beat of [...hearts]) beat();
      await clock.settle();
    }
    return { outcome, ms: clock.monotonicMs() - startedAtMs };
  };
  return { over, names };
};

test('ends when the server has seen the end of the stream, also a moment late', async () => {
  const { over } = aReadBack((ms) => (ms < 2_000 ? LAST_REVISION - 1 : LAST_REVISION));
  const { outcome, ms } = await over(10_000);
  expect(outcome).toBe('read');
  expect(ms).toBeLessThan(2_500);
});

test('gives up a server that stays behind, though it goes on giving signs of life', async () => {
  const { over } = aReadBack((ms) => Math.min(LAST_REVISION - 1, ms / 1_000));
  const { outcome, ms } = await over(20_000);
  expect(outcome).toMatch(/lags behind the stream/);
  expect(ms).toBeLessThan(4_000);
});

test('asks under another name when nobody answers to the first', async () => {
  const { over, names } = aReadBack(
    () => LAST_REVISION,
    (attempt) => attempt > 1,
  );
  const { outcome, ms } = await over(20_000);
  expect(outcome).toBe('read');
  expect(ms).toBeLessThan(4_000);
  expect(names).toHaveLength(2);
});

test('gives up when nobody answers to the second either', async () => {
  const { over, names } = aReadBack(
    () => LAST_REVISION,
    () => false,
  );
  const { outcome } = await over(20_000);
  expect(outcome).toMatch(/no answer/);
  expect(names).toHaveLength(2);
});
