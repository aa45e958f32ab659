import { expect, test } from 'vitest';
import { askAgain } from '../../../src/nats/ask-again.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const EVERY_MS = 1_500;
const TIMEOUT_MS = 10_000;

/** What is heard is answered at once, what is lost fails after its timeout. Returns how it ended, and when. */
const ask = async (lost: number, abortAtMs?: number) => {
  const clock = new FakeClock();
  const stop = new AbortController();
  let asked = 0;
  const question = async (signal: AbortSignal) => {
    asked += 1;
    const number = asked;
    if (number > lost) return `answer ${number}`;
    await clock.sleep(TIMEOUT_MS, signal);
    throw new Error(signal.aborted ? `aborted ${number}` : `no answer ${number}`);
  };
  let ended: { readonly how: string; readonly atMs: number } | undefined;
  const end = (how: string) => {
    ended = { how, atMs: clock.monotonicMs() };
  };
  const beginMs = clock.monotonicMs();
  const asking = askAgain(question, { clock, everyMs: EVERY_MS, signal: stop.signal }).then(end, ({ message }) =>
    end(message),
  );
  if (abortAtMs !== undefined) {
    await clock.advance(abortAtMs);
    stop.abort();
  }
  await clock.advance(TIMEOUT_MS + 100);
  await asking;
  return { how: ended?.how, tookMs: (ended?.atMs ?? 0) - beginMs, asked };
};

test.each([
  ['is heard', 0, { how: 'answer 1', tookMs: 0, asked: 1 }],
  ['is lost once', 1, { how: 'answer 2', tookMs: 1_500, asked: 2 }],
  ['is lost four times', 4, { how: 'answer 5', tookMs: 6_000, asked: 5 }],
  ['is lost for ever', 100, { how: 'no answer 1', tookMs: 10_000, asked: 7 }],
])('a question that %s', async (_, lost, expected) => {
  expect(await ask(lost)).toEqual(expected);
});

test('nothing is asked after the end', async () => {
  expect(await ask(100, 2_000)).toEqual({ how: 'aborted 1', tookMs: 2_000, asked: 2 });
});
