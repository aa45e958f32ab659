// One connection to NATS that is always either up or being made: never gives up, never blocks its owner, and says
// which. Requests fail at once when the link is or goes down, instead of after their timeout. Knows no JetStream.

import type { Msg, NatsConnection, Payload, ServerInfo, Subscription } from '@nats-io/transport-node';
import {
  AuthorizationError,
  connect,
  NoRespondersError,
  PermissionViolationError,
  TimeoutError,
} from '@nats-io/transport-node';
import type { Clock, Random } from '../clock.ts';
import type { Log } from '../log.ts';
import { addresses, authenticator, type NatsCredentials, tlsOptions } from './credentials.ts';

export type NatsOptions = NatsCredentials & {
  /** Shown by the server's monitoring. */
  readonly name: string;
  /** Replies arrive under this prefix and no other, so the right to subscribe can be limited to it. */
  readonly inboxPrefix?: string | undefined;
};

export const DEFAULT_INBOX_PREFIX = '_INBOX_rollcall';

/** Two pings of one second find a half-open link in 2-3 s; the client's default takes 4 minutes, against a TTL of 30 s. */
const PING_INTERVAL_MS = 1_000;
const PINGS_OUT_MAX = 2;
const DIAL_TIMEOUT_MS = 2_000;
const RECONNECT_WAIT_MS = 250;
const RECONNECT_JITTER_MS = 250;
/** First dials back off to this: a wrong address or password is not cured by haste. */
const FIRST_DIAL_WAIT_MAX_MS = 2_000;
const CLOSE_TIMEOUT_MS = 500;

/** Why a request has no answer. `sent`: the server may have seen it; then only a later look tells the outcome. */
export class LinkError extends Error {
  readonly kind: 'disconnected' | 'timeout' | 'noResponders' | 'denied' | 'aborted';
  readonly sent: boolean;
  constructor(kind: LinkError['kind'], sent: boolean, message: string) {
    super(message);
    this.name = 'LinkError';
    this.kind = kind;
    this.sent = sent;
  }
}

/** A link that stands: valid until `down` aborts. */
export type Link = { readonly nc: NatsConnection; readonly down: AbortSignal };

export class Connection {
  readonly #options: NatsOptions;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #log: Log;
  readonly #changeListeners = new Set<(connected: boolean) => void>();
  readonly #deniedListeners = new Set<(subject: string) => void>();
  #link: (Link & { readonly drop: AbortController }) | undefined;
  #lastProblem = '';

  constructor(options: NatsOptions, clock: Clock, random: Random, log: Log) {
    this.#options = options;
    this.#clock = clock;
    this.#random = random;
    this.#log = log;
  }

  /** Connects, and connects again whenever the link is lost, until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    let waitMs = RECONNECT_WAIT_MS;
    while (!signal.aborted) {
      const nc = await this.#dial(signal);
      if (nc !== undefined) {
        waitMs = RECONNECT_WAIT_MS;
        await this.#attend(nc, signal);
      }
      await this.#clock.sleep(waitMs + this.#random() * RECONNECT_JITTER_MS, signal);
      waitMs = Math.min(2 * waitMs, FIRST_DIAL_WAIT_MAX_MS);
    }
  }

  link(): Link | undefined {
    return this.#link;
  }

  connected(): boolean {
    return this.#link !== undefined;
  }

  /** What the server said about itself when we last connected. */
  serverInfo(): ServerInfo | undefined {
    return this.#link?.nc.info;
  }

  inboxPrefix(): string {
    return this.#options.inboxPrefix ?? DEFAULT_INBOX_PREFIX;
  }

  onChange(listener: (connected: boolean) => void): void {
    this.#changeListeners.add(listener);
  }

  /** Tells the subjects we may not publish to, as the server refuses them. Returns what ends the listening. */
  onDenied(listener: (subject: string) => void): () => void {
    this.#deniedListeners.add(listener);
    return () => this.#deniedListeners.delete(listener);
  }

  /** @throws LinkError */
  async request(subject: string, payload: Payload, timeoutMs: number, signal: AbortSignal): Promise<Msg> {
    if (signal.aborted) throw new LinkError('aborted', false, 'stopped');
    const link = this.#link;
    if (link === undefined) throw new LinkError('disconnected', false, 'not connected to NATS');
    return awaitReply(link, () => link.nc.request(subject, payload, { timeout: timeoutMs }), signal);
  }

  /** A subscription on a fresh subject under our inbox prefix; closes by itself only when the connection does. */
  subscribe(link: Link, subject: string, onMessage: (message: Msg) => void): Subscription {
    return link.nc.subscribe(subject, {
      callback: (error, message) => {
        if (error === null) onMessage(message);
        else this.#problem(`subscribing is refused: ${error.message}`);
      },
    });
  }

  async #dial(signal: AbortSignal): Promise<NatsConnection | undefined> {
    const tls = tlsOptions(this.#options);
    // Not `waitOnFirstConnect`: that can neither be stopped nor says why it does not get through.
    const dialing = connect({
      servers: addresses(this.#options.servers),
      name: this.#options.name,
      inboxPrefix: this.inboxPrefix(),
      authenticator: authenticator(this.#options, (problem) => this.#problem(problem)),
      // Not null: the library then fails where a server insists on TLS.
      ...(tls === undefined ? {} : { tls }),
      timeout: DIAL_TIMEOUT_MS,
      pingInterval: PING_INTERVAL_MS,
      maxPingOut: PINGS_OUT_MAX,
      maxReconnectAttempts: -1,
      reconnectTimeWait: RECONNECT_WAIT_MS,
      reconnectJitter: RECONNECT_JITTER_MS,
      reconnectJitterTLS: RECONNECT_JITTER_MS,
      ignoreAuthErrorAbort: true,
      noAsyncTraces: true,
    });
    const stopped = Promise.withResolvers<undefined>();
    const stop = () => stopped.resolve(undefined);
    signal.addEventListener('abort', stop, { once: true });
    try {
      const nc = await Promise.race([dialing, stopped.promise]);
      if (nc === undefined || signal.aborted) {
        dialing.then((late) => late.close()).catch(() => undefined);
        return undefined;
      }
      return nc;
    } catch (error) {
      const trust = /certificate/i.test(describe(error)) ? ' (--nats-ca names the authority to trust)' : '';
      this.#problem(`cannot connect: ${describe(error)}${trust}`);
      return undefined;
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  /** Follows one connection of the library through its reconnects until it is closed for good. */
  async #attend(nc: NatsConnection, signal: AbortSignal): Promise<void> {
    const closing = async () => {
      const closed = new AbortController();
      await Promise.race([nc.close(), this.#clock.sleep(CLOSE_TIMEOUT_MS, closed.signal)]);
      closed.abort();
      this.#down();
      ended.resolve();
    };
    const ended = Promise.withResolvers<void>();
    const onAbort = () => void closing().catch(() => ended.resolve());
    signal.addEventListener('abort', onAbort, { once: true });
    this.#up(nc);
    if (signal.aborted) onAbort();
    this.#watchStatus(nc).then(ended.resolve, ended.resolve);
    await ended.promise;
    signal.removeEventListener('abort', onAbort);
    this.#down();
    if (!signal.aborted) this.#problem('the connection was closed for good; making a new one');
  }

  async #watchStatus(nc: NatsConnection): Promise<void> {
    for await (const status of nc.status()) {
      if (status.type === 'disconnect') this.#down();
      else if (status.type === 'reconnect') this.#up(nc);
      else if (status.type === 'error') this.#serverError(status.error);
    }
    await nc.closed();
  }

  #serverError(error: Error): void {
    if (error instanceof PermissionViolationError) {
      // Whoever published it hears of it and reports it; nothing to log here.
      if (error.operation === 'publish') for (const listener of this.#deniedListeners) listener(error.subject);
      return;
    }
    this.#problem(error instanceof AuthorizationError ? 'the server refuses our credentials' : describe(error));
  }

  #up(nc: NatsConnection): void {
    this.#link?.drop.abort();
    const drop = new AbortController();
    this.#link = { nc, down: drop.signal, drop };
    this.#lastProblem = '';
    this.#log.info({ server: nc.getServer(), version: nc.info?.version }, 'connected to NATS');
    for (const listener of this.#changeListeners) listener(true);
  }

  #down(): void {
    const link = this.#link;
    if (link === undefined) return;
    this.#link = undefined;
    link.drop.abort();
    this.#log.warn({ server: link.nc.getServer() }, 'disconnected from NATS');
    for (const listener of this.#changeListeners) listener(false);
  }

  /** The same problem repeats with every attempt, four times a second: one line is enough. */
  #problem(problem: string): void {
    if (problem === this.#lastProblem) return;
    this.#lastProblem = problem;
    this.#log.warn({ problem, servers: addresses(this.#options.servers) }, 'NATS connection');
  }
}

/**
 * Sends by `send` and waits for its reply, the end of the link or a signal, whichever is first. Listens to the signals
 * itself: `AbortSignal.any` on signals that live as long as the process is no thing for 50 calls a second.
 * @throws LinkError
 */
export async function awaitReply<Reply>(
  link: Link,
  send: () => Promise<Reply>,
  ...signals: readonly AbortSignal[]
): Promise<Reply> {
  const interrupted = Promise.withResolvers<never>();
  const onDown = () => interrupted.reject(new LinkError('disconnected', true, 'the connection was lost'));
  const onAbort = () => interrupted.reject(new LinkError('aborted', true, 'stopped'));
  link.down.addEventListener('abort', onDown, { once: true });
  for (const signal of signals) signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([send(), interrupted.promise]);
  } catch (error) {
    throw toLinkError(error);
  } finally {
    link.down.removeEventListener('abort', onDown);
    for (const signal of signals) signal.removeEventListener('abort', onAbort);
  }
}

function toLinkError(error: unknown): LinkError {
  if (error instanceof LinkError) return error;
  if (error instanceof TimeoutError) return new LinkError('timeout', true, 'no answer in time');
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  if (cause instanceof NoRespondersError) return new LinkError('noResponders', false, 'nobody answers (503)');
  if (cause instanceof PermissionViolationError) return new LinkError('denied', false, describe(cause));
  return new LinkError('disconnected', true, describe(error));
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
