// A question that may be lost on its way and does no harm when it arrives twice: asked anew until there is an answer.

import type { Clock } from '../clock.ts';

export type AskAgain = { readonly clock: Clock; readonly everyMs: number; readonly signal: AbortSignal };

/** The first answer. @throws what the first question fails with, if no later one was answered until then */
export async function askAgain<T>(
  ask: (signal: AbortSignal) => Promise<T>,
  { clock, everyMs, signal }: AskAgain,
): Promise<T> {
  const answered = new AbortController();
  const over = AbortSignal.any([signal, answered.signal]);
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const askLater = async () => {
    for (;;) {
      await clock.sleep(everyMs, over);
      if (over.aborted) return;
      ask(over).then(resolve, () => undefined);
    }
  };
  ask(over).then(resolve, reject);
  const asking = askLater();
  try {
    return await promise;
  } finally {
    answered.abort();
    await asking;
  }
}
