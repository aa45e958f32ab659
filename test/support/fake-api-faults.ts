// What can be wrong between one client and the fake API server. Data and the waiting on it; the server asks.

import type { Random } from '../../src/clock.ts';

export type LineFate = 'pass' | 'drop' | 'double' | 'cut';

export class Faults {
  readonly #random: Random;
  #hold: { readonly ends: Promise<void>; readonly end: () => void } | undefined;
  #unreachable = false;
  #silent: (plural: string) => boolean = () => false;
  #refusal:
    | {
        readonly status: number;
        readonly fraction: number;
        readonly retryAfterSeconds?: number;
        readonly plural?: string;
      }
    | undefined;
  readonly #denied = new Set<string>();
  /** Lists show no objects. */
  emptyLists = false;
  /** Sending initial events is refused, as by a server without the WatchList feature. */
  noWatchList = false;
  /** Bookmarks are not sent. */
  noBookmarks = false;
  /** Events come so much later. */
  eventDelayMs = 0;
  /** Decides what happens to each line of a watch. */
  lineFate: (plural: string) => LineFate = () => 'pass';
  /** Set by the server: what ends the streams there are. */
  onBreak: (how: 'reset' | 'end') => void = () => {};
  onUnsilenced: () => void = () => {};

  constructor(random: Random) {
    this.#random = random;
  }

  /** Resets every watch there is; new ones work. */
  breakWatches(): void {
    this.onBreak('reset');
  }

  /** Ends every watch in good order, as a server does that shuts down. */
  endWatches(): void {
    this.onBreak('end');
  }

  /** The way to the server is cut: nothing new reaches it, and what was there is reset. */
  cut(): void {
    this.#unreachable = true;
    this.onBreak('reset');
  }

  /** Requests and streams hang until `pass`. */
  hold(): void {
    if (this.#hold !== undefined) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#hold = { ends: promise, end: resolve };
  }

  /** Watches of these kinds (all when none is given), old and new, say nothing until `pass`; what they kept back then comes. */
  silenceWatches(...plurals: readonly string[]): void {
    this.#silent = (plural) => plurals.length === 0 || plurals.includes(plural);
  }

  /** Requests and new streams are answered so, all or a fraction of them. */
  answer(status: number, options: { fraction?: number; retryAfterSeconds?: number; plural?: string } = {}): void {
    this.#refusal = { fraction: 1, status, ...options };
  }

  /** `watch pods`, `patch serviceregistrations/status`: refused with 403, also by access reviews. */
  deny(...rights: readonly string[]): void {
    for (const right of rights) this.#denied.add(right);
  }

  /** Everything is well again, but for rights that were denied: `grant` them. */
  pass(): void {
    this.#unreachable = false;
    this.#silent = () => false;
    this.#refusal = undefined;
    this.emptyLists = false;
    this.noWatchList = false;
    this.noBookmarks = false;
    this.eventDelayMs = 0;
    this.lineFate = () => 'pass';
    this.#hold?.end();
    this.#hold = undefined;
    this.onUnsilenced();
  }

  grant(): void {
    this.#denied.clear();
  }

  get unreachable(): boolean {
    return this.#unreachable;
  }

  /** Resolves when nothing is held any more; undefined when nothing is. */
  get held(): Promise<void> | undefined {
    return this.#hold?.ends;
  }

  isSilent(plural: string): boolean {
    return this.#hold !== undefined || this.#silent(plural);
  }

  isDenied(right: string): boolean {
    return this.#denied.has(right);
  }

  /** The refusal for one request, if it gets one. */
  refusal(plural: string): { readonly status: number; readonly retryAfterSeconds?: number } | undefined {
    const refusal = this.#refusal;
    if (refusal === undefined || (refusal.plural !== undefined && refusal.plural !== plural)) return undefined;
    return this.#random() < refusal.fraction ? refusal : undefined;
  }
}
