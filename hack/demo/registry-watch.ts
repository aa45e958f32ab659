/**
 * What readers of the registry see, and when: every message under the keys of instances, from an ordered consumer of the
 * demo's own, on its monotonic clock. It shares no code with the operator and is as strict as the strictest readers.
 */
import { type JsMsg, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { z } from 'zod';
import { waitFor } from '../control-plane/wait.ts';

export const bucket = 'service-registry';

const valueSchema = z.strictObject({
  serviceName: z.string(),
  instanceId: z.string(),
  version: z.string(),
  status: z.enum(['ACTIVE', 'UNHEALTHY', 'STANDBY']),
  lastHeartbeat: z.iso.datetime({ offset: true }),
  stickyActiveGroup: z.string().nullable(),
  metadata: z.record(z.string(), z.union([z.string(), z.number()])),
});

export type Status = z.infer<typeof valueSchema>['status'];

/** A key as it stands, and for a while after it went. */
export type Entry = {
  readonly key: string;
  readonly serviceName: string;
  readonly instanceId: string;
  readonly version: string;
  readonly status: Status;
  readonly heartbeatWallMs: number;
  readonly podUid: string;
  readonly podNamespace: string;
  readonly podName: string;
  readonly term: number;
  readonly reason: string;
  readonly ttlMs: number;
  /** Arrival (`performance.now()`) of the last write. */
  readonly writtenAtMs: number;
  /** Arrival of the first write with this status, this time. */
  readonly statusAtMs: number;
  /** Arrival of the marker that says that it lapsed or was purged. */
  readonly goneAtMs: number | undefined;
};

/** One message of the stream; `term` is undefined for a marker. */
export type Arrival = { readonly key: string; readonly atMs: number; readonly term: number | undefined };

/** An hour of a hundred keys; enough for every judgement, which looks back a minute. */
const ARRIVALS_MAX = 40_000;
/** Long enough to see on the screen that a key went. */
const SHOW_GONE_MS = 5_000;

export class RegistryWatch {
  readonly #prefix = `$KV.${bucket}.`;
  readonly #entries = new Map<string, Entry>();
  readonly #connection: NatsConnection;
  readonly #onGone: (entry: Entry) => void;
  readonly #onUnreadable: (key: string, text: string) => void;
  #arrivals: Arrival[] = [];

  private constructor(connection: NatsConnection, { onGone, onUnreadable }: RegistryListeners) {
    this.#connection = connection;
    this.#onGone = onGone;
    this.#onUnreadable = onUnreadable;
  }

  /** Waits for the bucket's stream, which the operator makes, and follows it from its first message. */
  static async open(natsUrl: string, listeners: RegistryListeners, signal: AbortSignal): Promise<RegistryWatch> {
    const connection = await connect({ servers: natsUrl, name: 'rollcall-demo', maxReconnectAttempts: -1 });
    const watch = new RegistryWatch(connection, listeners);
    const stream = `KV_${bucket}`;
    const manager = await jetstreamManager(connection);
    await waitFor(`the bucket ${bucket}`, () => manager.streams.info(stream), { deadlineMs: 30_000, signal });
    const filter = `${watch.#prefix}service-instances.>`;
    const consumer = await jetstream(connection).consumers.get(stream, { filter_subjects: [filter] });
    await consumer.consume({ callback: (message) => watch.#see(message, performance.now()) });
    return watch;
  }

  /** By service and instance; those gone a moment ago among them. */
  entries(): readonly Entry[] {
    const nowMs = performance.now();
    for (const { key, goneAtMs } of this.#entries.values()) {
      if (goneAtMs !== undefined && nowMs - goneAtMs > SHOW_GONE_MS) this.#entries.delete(key);
    }
    return [...this.#entries.values()].toSorted((a, b) => a.key.localeCompare(b.key));
  }

  /** Keys that hold a value. */
  live(): readonly Entry[] {
    return this.entries().filter(({ goneAtMs }) => goneAtMs === undefined);
  }

  ofPod(uid: string): Entry | undefined {
    return [...this.#entries.values()].find(({ podUid }) => podUid === uid);
  }

  /** Messages of one key since a moment, in order, the last one before that moment first. */
  arrivals(key: string, sinceMs: number): readonly Arrival[] {
    const all = this.#arrivals.filter((arrival) => arrival.key === key);
    const first = all.findIndex(({ atMs }) => atMs >= sinceMs);
    return first === -1 ? all.slice(-1) : all.slice(Math.max(0, first - 1));
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }

  #see(message: JsMsg, atMs: number): void {
    const key = message.subject.slice(this.#prefix.length);
    const before = this.#entries.get(key);
    if (message.data.length === 0) {
      this.#remember({ key, atMs, term: undefined });
      if (before === undefined || before.goneAtMs !== undefined) return;
      const gone = { ...before, goneAtMs: atMs };
      this.#entries.set(key, gone);
      this.#onGone(gone);
      return;
    }
    // Whatever others put there is not ours to judge.
    if (!message.headers?.get('Rollcall-Owner')) return;
    const entry = read(key, message, atMs);
    if (entry === undefined) return this.#onUnreadable(key, message.string());
    this.#remember({ key, atMs, term: entry.term });
    const same = before !== undefined && before.goneAtMs === undefined && before.status === entry.status;
    this.#entries.set(key, same ? { ...entry, statusAtMs: before.statusAtMs } : entry);
  }

  #remember(arrival: Arrival): void {
    this.#arrivals.push(arrival);
    if (this.#arrivals.length > ARRIVALS_MAX) this.#arrivals = this.#arrivals.slice(ARRIVALS_MAX / 2);
  }
}

type RegistryListeners = {
  /** A key lapsed or was purged. */
  readonly onGone: (entry: Entry) => void;
  /** A value of Rollcall's that a strict reader would not take. */
  readonly onUnreadable: (key: string, text: string) => void;
};

/** The edge: undefined for what a strict reader would not take. */
function read(key: string, message: JsMsg, atMs: number): Entry | undefined {
  const header = (name: string) => message.headers?.get(name) ?? '';
  const value = valueSchema.safeParse(parseJson(message.string())).data;
  const ttl = /^(\d+)s?$/.exec(header('Nats-TTL'));
  if (value === undefined || ttl === null) return undefined;
  const { serviceName, instanceId, version, status, lastHeartbeat } = value;
  const owner = header('Rollcall-Owner').split('/');
  return {
    key,
    serviceName,
    instanceId,
    version,
    status,
    heartbeatWallMs: Date.parse(lastHeartbeat),
    podUid: owner[3] ?? '',
    podNamespace: owner[1] ?? '',
    podName: owner[2] ?? '',
    term: Number(header('Rollcall-Term')),
    reason: header('Rollcall-Reason'),
    ttlMs: Number(ttl[1]) * 1_000,
    writtenAtMs: atMs,
    statusAtMs: atMs,
    goneAtMs: undefined,
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
