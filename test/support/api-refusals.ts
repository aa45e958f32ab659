// How a gate refuses a part of the requests, and whether those who were told to wait did. By door, so that one client's
// patience is not measured by another's haste.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { performance } from 'node:perf_hooks';

export type Refusing = {
  /** Of all requests. */
  readonly fraction: number;
  /** In turn. */
  readonly statuses: readonly number[];
  /** Said with 429. */
  readonly retryAfterSeconds: number;
};

/** Times pass through two proxies and two event loops. */
const EARLY_MS = 50;

export class Refusals {
  readonly #notBeforeMs = new Map<string, number>();
  #refusing: Refusing | undefined;
  #turn = 0;
  #refused = 0;
  #told = 0;
  readonly #impatient: string[] = [];

  /** Undefined: every request passes. */
  set(refusing: Refusing | undefined): void {
    this.#refusing = refusing;
  }

  get refused(): number {
    return this.#refused;
  }

  /** How often somebody was told when to come back. */
  get told(): number {
    return this.#told;
  }

  /** Who came back for the same sooner. */
  get impatient(): readonly string[] {
    return this.#impatient;
  }

  /** Answers for the server, or returns false. */
  answer(door: number, asked: IncomingMessage, answer: ServerResponse, url: URL): boolean {
    const what = `door ${door}: ${asked.method} ${url.pathname}${kindOf(url)}`;
    const earlyMs = (this.#notBeforeMs.get(what) ?? 0) - performance.now();
    if (earlyMs > EARLY_MS) this.#impatient.push(`${what}, ${Math.round(earlyMs)} ms early`);
    this.#notBeforeMs.delete(what);
    const refusing = this.#refusing;
    if (refusing === undefined || Math.random() >= refusing.fraction) return false;
    const code = refusing.statuses[this.#turn++ % refusing.statuses.length] ?? 503;
    const waits = code === 429;
    this.#refused += 1;
    if (waits) {
      this.#told += 1;
      this.#notBeforeMs.set(what, performance.now() + refusing.retryAfterSeconds * 1_000);
    }
    asked.resume();
    answer.writeHead(code, {
      'content-type': 'application/json',
      ...(waits ? { 'retry-after': `${refusing.retryAfterSeconds}` } : {}),
    });
    const status = {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      code,
      message: 'the gate says so',
    };
    answer.end(JSON.stringify(status));
    return true;
  }
}

/** Watches, short ones that ask for freshness, and lists each have a backoff of their own. */
const kindOf = ({ searchParams }: URL): string => {
  if (searchParams.has('watch')) return searchParams.get('timeoutSeconds') === '3' ? ' (short watch)' : ' (watch)';
  return searchParams.get('limit') === '1' ? ' (version)' : '';
};
