// The port `Prober` on real sockets: one TCP handshake, nothing sent. To which addresses is the caller's business, but
// never to a name: nothing here asks a resolver.

import { isIP, Socket } from 'node:net';
import type { ProbeOutcome, Prober } from '../controllers/prober.ts';

/** Within a cluster a handshake takes a millisecond; two probes must fail well within a third of a TTL. */
const TIMEOUT_MS = 1_000;

/** What the other side, or the way to it, is to blame for. Everything else is our own machine's (no route, no socket left). */
const THEIR_FAULT: ReadonlySet<string | undefined> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'ETIMEDOUT',
]);

export const createTcpProber = (timeoutMs = TIMEOUT_MS): Prober => ({
  probe: ({ host, port }, signal) => {
    if (signal.aborted || isIP(host) === 0) return Promise.resolve('impossible');
    return new Promise((resolve) => {
      const socket = new Socket();
      const end = (outcome: ProbeOutcome) => {
        signal.removeEventListener('abort', stop);
        socket.destroy();
        resolve(outcome);
      };
      const stop = () => end('impossible');
      signal.addEventListener('abort', stop, { once: true });
      socket.setTimeout(timeoutMs, () => end('failed'));
      socket.once('connect', () => end('answered'));
      socket.once('error', ({ code }: NodeJS.ErrnoException) => end(THEIR_FAULT.has(code) ? 'failed' : 'impossible'));
      socket.connect(port, host);
    });
  },
});
