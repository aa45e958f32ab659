// What happens to the keys of the registry, message by message, as changes a person wants to hear of: a refresh is
// none. Pure but for what it remembers; the messages come from `list-watch.ts`.

import type { StoredMessage } from '../writer/registry.ts';
import { byKey, type Clocks, leftMsOf, type RegistryEntry, readEntry } from './registry-entry.ts';

export type RegistryChange = {
  readonly event: 'ADDED' | 'MODIFIED' | 'LAPSED' | 'REMOVED';
  readonly entry: RegistryEntry;
};

export type GoneEntry = {
  readonly entry: RegistryEntry;
  readonly how: 'lapsed' | 'removed';
  /** Server's wall ms. */
  readonly atMs: number;
};

/** The server's marker of a lapse comes at most this late; where the bucket has no markers, none comes. */
const LAPSE_SLACK_MS = 1_000;

export class RegistryChanges {
  readonly #bucket: string;
  readonly #service: string | undefined;
  readonly #entries = new Map<string, RegistryEntry>();
  readonly #gone = new Map<string, GoneEntry>();

  /** `service`: the only one that is of interest. */
  constructor(bucket: string, service: string | undefined) {
    this.#bucket = bucket;
    this.#service = service;
  }

  entries(): readonly RegistryEntry[] {
    return [...this.#entries.values()].toSorted(byKey);
  }

  /** Those that went since; the caller says for how long that is worth showing. */
  goneSince(atMs: number): readonly GoneEntry[] {
    for (const [key, gone] of this.#gone) if (gone.atMs < atMs) this.#gone.delete(key);
    return [...this.#gone.values()];
  }

  see(message: StoredMessage): RegistryChange | undefined {
    const read = readEntry(message, this.#bucket);
    switch (read.kind) {
      case 'other':
        return undefined;
      case 'unreadable':
        return this.#forget(read.key, 'removed', message.storedAtMs);
      case 'gone':
        return this.#forget(read.key, read.how, message.storedAtMs);
      case 'entry':
        return this.#note(read.entry);
    }
  }

  /** What must have lapsed by now, told or not. */
  expire(clocks: Clocks): readonly RegistryChange[] {
    const over = this.entries().filter((entry) => leftMsOf(entry, clocks) < -LAPSE_SLACK_MS);
    return over.flatMap(({ key }) => this.#forget(key, 'lapsed', clocks.serverWallMs) ?? []);
  }

  #note(entry: RegistryEntry): RegistryChange | undefined {
    if (this.#service !== undefined && entry.serviceName !== this.#service) return undefined;
    const before = this.#entries.get(entry.key);
    this.#entries.set(entry.key, entry);
    this.#gone.delete(entry.key);
    if (before === undefined) return { event: 'ADDED', entry };
    return sameMeaning(before, entry) ? undefined : { event: 'MODIFIED', entry };
  }

  #forget(key: string, how: 'lapsed' | 'removed', atMs: number): RegistryChange | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    this.#gone.set(key, { entry, how, atMs });
    return { event: how === 'lapsed' ? 'LAPSED' : 'REMOVED', entry };
  }
}

/** Nothing but the heartbeat moved on. */
const sameMeaning = (a: RegistryEntry, b: RegistryEntry): boolean =>
  a.status === b.status &&
  a.ttlMs === b.ttlMs &&
  a.owner?.uid === b.owner?.uid &&
  a.owner?.operatorId === b.owner?.operatorId &&
  JSON.stringify(a.content) === JSON.stringify(b.content);
