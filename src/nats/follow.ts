// Everything that comes: the last message of each subject under a filter and every later one, across reconnects, server
// restarts and streams that are made anew.

import { RegistryError, type StoredMessage } from '../writer/registry.ts';
import { type ConsumerContext, consume } from './consumer.ts';

const RETRY_MS = 250;
const RETRY_MAX_MS = 2_000;

/**
 * Starts again from the last messages after every interruption, so what a reader missed is told in its latest state.
 * What was told already is not told again. Ends with the signal; never rejects.
 */
export async function follow(
  context: ConsumerContext,
  filter: string,
  onMessage: (message: StoredMessage) => void,
  onProblem: (problem: string) => void,
  signal: AbortSignal,
): Promise<void> {
  let seen = { revision: 0, storedAtMs: 0 };
  let waitMs = RETRY_MS;
  while (!signal.aborted) {
    try {
      await consume(context, { filters: [filter] }, signal, {
        onMessage: (message) => {
          waitMs = RETRY_MS;
          // Lower revisions with later times belong to a stream that was made anew.
          if (message.revision <= seen.revision && message.storedAtMs <= seen.storedAtMs) return;
          seen = { revision: message.revision, storedAtMs: message.storedAtMs };
          onMessage(message);
        },
        onIdle: () => {
          waitMs = RETRY_MS;
        },
        onFlowControl: (proceed) => proceed(),
      });
    } catch (error) {
      if (!(error instanceof RegistryError)) throw error;
      // No problem: who has heard enough stops, often before the consumer's own answer; and of a stream that is not there,
      // as before the first replica made it, the bucket check tells.
      const expected = signal.aborted || error.kind === 'missing' || !context.connection.connected();
      if (!expected) onProblem(error.message);
    }
    await context.clock.sleep(waitMs, signal);
    waitMs = Math.min(2 * waitMs, RETRY_MAX_MS);
  }
}
