// An independent witness of the registry: every message of the bucket's stream, lock included, from an ordered consumer
// of its own, with all headers, the server's time and the time of arrival. It shares no code with the operator and
// judges nothing: `stream-verdicts.ts` does.

import { DeliverPolicy, type JsMsg, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { waitFor } from '../../hack/control-plane/wait.ts';
import { type ContractValue, contractValueSchema } from './contract-value.ts';

export type InstanceValue = ContractValue;

/** A leader renews the lock every 2 s: who hears nothing for longer may have lost the consumer with its server. */
const SILENT_MS = 3_000;

export type Sighting = {
  readonly seq: number;
  /** Arrival, `performance.now()`. */
  readonly atMs: number;
  /** When the server stored it, by its wall clock, ms since the epoch. */
  readonly storedAtMs: number;
  readonly subject: string;
  /** The KV key; undefined for subjects outside `$KV.{bucket}.`, as the lock's. */
  readonly key: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** `MaxAge`, `Remove`, ...: the server's marker; `PURGE`, `DEL`: a client's. */
  readonly operation: string;
  /** The last part of the owner header; empty when there is none. */
  readonly podUid: string;
  /** Undefined for what is no instance of exactly the contract's fields. */
  readonly value: InstanceValue | undefined;
};

/** The operation of what `noteRemoved` records. */
export const REMOVED_BY_HAND = 'removed by hand';

export class StreamObserver {
  /** In the order of the stream. */
  readonly messages: Sighting[] = [];
  /** Keys whose last message is a value. Removals that leave no marker (a purge of the stream) must be told by `noteRemoved`. */
  readonly live = new Map<string, Sighting>();
  readonly connection: NatsConnection;
  readonly bucket: string;
  /** Messages that were replaced before they came here: history is 1. */
  unseen = 0;
  /** The last message of the lock, undefined while there is none. */
  lock: Sighting | undefined;
  readonly #stopped = new AbortController();
  #following: Promise<void> = Promise.resolve();
  #restart: () => void = () => {};
  #lastHeardMs = 0;
  /** Of a cluster, where a consumer may go with another server than the one we are connected to. */
  readonly #isOneOfMany: boolean;

  private constructor(connection: NatsConnection, bucket: string, isOneOfMany: boolean) {
    this.connection = connection;
    this.bucket = bucket;
    this.#isOneOfMany = isOneOfMany;
  }

  /** Waits for the bucket's stream, which the operator makes, and records it from its first message. */
  static async open(servers: string | readonly string[], bucket: string, deadlineMs = 30_000): Promise<StreamObserver> {
    const isOneOfMany = typeof servers !== 'string' && servers.length > 1;
    const connection = await connect({
      servers: typeof servers === 'string' ? servers : [...servers],
      name: 'observer',
      timeout: 5_000,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 50,
      reconnectJitter: 0,
      // A paused server shall not cost the witness its connection, unless there are others to go to.
      pingInterval: isOneOfMany ? 1_000 : 120_000,
    });
    const observer = new StreamObserver(connection, bucket, isOneOfMany);
    const manager = await jetstreamManager(connection);
    await waitFor(`stream KV_${bucket}`, () => manager.streams.info(`KV_${bucket}`), { deadlineMs });
    void observer.#onReconnect();
    observer.#following = observer.#follow();
    return observer;
  }

  /** Where the record ends now; give it to `until` and to verdicts to leave out what came before. */
  mark(): number {
    return this.messages.length;
  }

  /** The first message at or after `from` (a mark) that fits; waits for it. */
  async until(
    what: string,
    fits: (sighting: Sighting) => boolean,
    { from = 0, deadlineMs = 10_000 }: { readonly from?: number; readonly deadlineMs?: number } = {},
  ): Promise<Sighting> {
    let next = from;
    return waitFor(
      what,
      () => {
        while (next < this.messages.length) {
          const sighting = this.messages[next];
          next += 1;
          if (sighting !== undefined && fits(sighting)) return sighting;
        }
        return undefined;
      },
      { deadlineMs, intervalMs: 5 },
    );
  }

  /** Live keys of a service. */
  ofService(serviceName: string): readonly Sighting[] {
    const prefix = `service-instances.${serviceName}.`;
    return [...this.live.values()].filter(({ key }) => key?.startsWith(prefix));
  }

  history(key: string): readonly Sighting[] {
    return this.messages.filter((sighting) => sighting.key === key);
  }

  /** The process that holds the lock, by the stream's word. */
  get holderPid(): number | undefined {
    const [, pid] = /-(\d+)-[0-9a-f]{8}$/.exec(this.lock?.headers['Rollcall-Holder'] ?? '') ?? [];
    return pid === undefined ? undefined : Number(pid);
  }

  /** Who purges the stream says so, as no message tells of it: the record goes on as if each key had told. */
  noteRemoved(isRemoved: (subject: string) => boolean): void {
    const gone = [...this.live.values()].filter(({ subject }) => isRemoved(subject));
    if (this.lock !== undefined && isRemoved(this.lock.subject)) this.lock = undefined;
    const seq = this.messages.at(-1)?.seq ?? 0;
    const now = { atMs: performance.now(), storedAtMs: Date.now() };
    for (const { key = '', subject } of gone) {
      this.live.delete(key);
      const bare = { headers: {}, body: '', podUid: '', value: undefined };
      this.messages.push({ seq, ...now, subject, key, ...bare, operation: REMOVED_BY_HAND });
    }
  }

  /** Keeps of what came before the mark only the last message of each subject. Earlier marks lose their meaning. */
  forget(mark: number): void {
    const old = this.messages.slice(0, mark);
    const last = new Map(old.map((sighting) => [sighting.subject, sighting]));
    this.messages.splice(0, mark, ...old.filter((sighting) => last.get(sighting.subject) === sighting));
  }

  async close(): Promise<void> {
    this.#stopped.abort();
    this.#restart();
    await this.connection.close();
    await this.#following;
  }

  async #onReconnect(): Promise<void> {
    for await (const { type } of this.connection.status()) {
      if (type === 'reconnect') this.#restart();
    }
  }

  /** An own consumer for each connection: a server that was killed has forgotten the one before. */
  async #follow(): Promise<void> {
    const { signal } = this.#stopped;
    const stream = `KV_${this.bucket}`;
    while (!signal.aborted) {
      try {
        const seq = (this.messages.at(-1)?.seq ?? 0) + 1;
        const consumer = await jetstream(this.connection, { timeout: 2_000 }).consumers.get(stream, {
          deliver_policy: DeliverPolicy.StartSequence,
          opt_start_seq: seq,
        });
        const messages = await consumer.consume({
          max_messages: 10_000,
          callback: (message) => this.#see(message),
        });
        this.#lastHeardMs = performance.now();
        const watchdog = setInterval(() => {
          if (this.#isOneOfMany && performance.now() - this.#lastHeardMs > SILENT_MS) this.#restart();
        }, SILENT_MS / 4);
        await new Promise<void>((resolve) => {
          this.#restart = resolve;
        });
        clearInterval(watchdog);
        messages.stop();
      } catch {
        // Not back yet.
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }

  #see(message: JsMsg): void {
    this.#lastHeardMs = performance.now();
    const before = this.messages.at(-1)?.seq ?? 0;
    if (message.seq <= before) return;
    this.unseen += message.seq - before - 1;
    const sighting = sightingOf(message, this.bucket);
    this.messages.push(sighting);
    if (sighting.key === undefined) {
      if (sighting.subject.endsWith('.lock')) this.lock = sighting.operation === 'PUT' ? sighting : undefined;
    } else if (sighting.operation === 'PUT') this.live.set(sighting.key, sighting);
    else this.live.delete(sighting.key);
  }
}

const sightingOf = (message: JsMsg, bucket: string): Sighting => {
  const atMs = performance.now();
  const headers: Record<string, string> = {};
  for (const [name, values] of message.headers ?? []) headers[name] = values.join(', ');
  const body = message.string();
  const prefix = `$KV.${bucket}.`;
  return {
    seq: message.seq,
    atMs,
    storedAtMs: Math.round(Number(message.timestampNanos / 1_000n) / 1_000),
    subject: message.subject,
    key: message.subject.startsWith(prefix) ? message.subject.slice(prefix.length) : undefined,
    headers,
    body,
    operation: headers['Nats-Marker-Reason'] ?? headers['KV-Operation'] ?? 'PUT',
    podUid: headers['Rollcall-Owner']?.split('/').at(-1) ?? '',
    value: parseValue(body),
  };
};

const parseValue = (body: string): InstanceValue | undefined => {
  try {
    return contractValueSchema.parse(JSON.parse(body));
  } catch {
    return undefined;
  }
};
