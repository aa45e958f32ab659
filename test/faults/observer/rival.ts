// What others do in the bucket: clients that have keys of their own, take ours, fill it, purge it, and a server that lets
// everything lapse at once. All that they write bears the mark by which the verdicts tell it from the operators'.

import { jetstream, jetstreamManager, type StreamConfig } from '@nats-io/jetstream';
import { headers as natsHeaders } from '@nats-io/transport-node';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import type { StreamObserver } from '../../support/stream-observer.ts';
import { PLANTED } from '../../support/stream-verdicts.ts';
import { pause } from '../monotonic.ts';

const FILLER = 'filler.';
const ROOM_BYTES = 100_000;
const PIECES_BYTES = [10_000, 200] as const;
const FILL_EVERY_MS = 50;
/** The shortest `max_age` that the server takes. */
const MAX_AGE_MS = 100;
const NS_PER_MS = 1_000_000;

export class Rival {
  /** By key: from which revision on it is others', and must stay as it is. */
  readonly foreign = new Map<string, number>();
  readonly #stream: StreamObserver;
  #planted = 0;
  #filling:
    | { readonly stop: AbortController; readonly before: StreamConfig; readonly ended: Promise<void> }
    | undefined;

  constructor(stream: StreamObserver) {
    this.#stream = stream;
  }

  /** Definitions, and instances that registered themselves; those that are gone are written again. */
  async plant(count = this.#planted): Promise<void> {
    this.#planted = count;
    for (let number = 0; number < count; number += 1) {
      const key = number % 2 === 0 ? `definition-${number}` : `service-instances.own-${number}.own-${number}-1`;
      await this.take(key);
    }
  }

  /** Writes over whatever the key is. */
  async take(key: string): Promise<void> {
    const seq = await this.#write(key, `{"instead of":"${key}"}`);
    if (!this.foreign.has(key)) this.foreign.set(key, seq);
  }

  /** How many of these keys say what was written in our name. */
  untouched(keys: readonly string[]): number {
    return keys.filter((key) => this.#stream.live.get(key)?.headers[PLANTED] !== undefined).length;
  }

  /** Takes messages away by hand, and writes again what others had among them. */
  async purge(filter: string | undefined): Promise<void> {
    const manager = await jetstreamManager(this.#stream.connection);
    await manager.streams.purge(this.#name, filter === undefined ? undefined : { filter });
    this.#stream.noteRemoved((subject) => filter === undefined || subject.startsWith(filter.replace(/>$/, '')));
    if (filter === undefined) await this.plant();
  }

  /** Has the server expire everything that stands, in its own way, markers included. What others had is written again. */
  async expire(deadlineMs: number): Promise<void> {
    const { live } = this.#stream;
    const manager = await jetstreamManager(this.#stream.connection);
    const { config } = await manager.streams.info(this.#name);
    const before = new Map(live);
    const soon = MAX_AGE_MS * NS_PER_MS;
    await manager.streams.update(this.#name, { ...config, max_age: soon, duplicate_window: soon });
    try {
      await waitFor('everything to lapse', () => [...before].every(([key, { seq }]) => live.get(key)?.seq !== seq), {
        deadlineMs,
        intervalMs: 5,
      });
    } finally {
      await manager.streams.update(this.#name, config);
    }
    await this.plant();
  }

  /** Gives the bucket a limit just above what it holds, and fills it, also what is freed meanwhile, until `free`. */
  async fill(): Promise<void> {
    const manager = await jetstreamManager(this.#stream.connection);
    const { config, state } = await manager.streams.info(this.#name);
    await manager.streams.update(this.#name, { ...config, max_bytes: state.bytes + ROOM_BYTES });
    const stop = new AbortController();
    const full = Promise.withResolvers<void>();
    this.#filling = { stop, before: config, ended: this.#keepFull(stop.signal, full.resolve) };
    await full.promise;
  }

  /** Purges what filled it; resolves when the server has. The limit goes as well. */
  async free(): Promise<void> {
    const filling = this.#filling;
    if (filling === undefined) return;
    filling.stop.abort();
    await filling.ended;
    await this.purge(`$KV.${this.#stream.bucket}.${FILLER}>`);
    const manager = await jetstreamManager(this.#stream.connection);
    await manager.streams.update(this.#name, filling.before);
    this.#filling = undefined;
  }

  async #keepFull(signal: AbortSignal, full: () => void): Promise<void> {
    let number = 0;
    while (!signal.aborted) {
      for (const bytes of PIECES_BYTES) {
        try {
          for (;;) {
            const key = `${FILLER}${number}`;
            number += 1;
            this.foreign.set(key, await this.#write(key, 'x'.repeat(bytes)));
          }
        } catch {
          // Full, for pieces of this size.
        }
      }
      full();
      await pause(FILL_EVERY_MS);
    }
  }

  async #write(key: string, body: string): Promise<number> {
    const headers = natsHeaders();
    headers.set(PLANTED, 'foreign');
    const { seq } = await jetstream(this.#stream.connection).publish(`$KV.${this.#stream.bucket}.${key}`, body, {
      headers,
    });
    return seq;
  }

  get #name(): string {
    return `KV_${this.#stream.bucket}`;
  }
}
