// What readers of the registry saw, and when: every message of the bucket's stream from an ordered consumer of the test's
// own, with headers and bodies as they came, on the test's monotonic clock. It shares no code with the operator.

import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { waitFor } from '../../hack/control-plane/wait.ts';
import { type ContractValue, contractValueSchema } from '../support/contract-value.ts';

export type InstanceStatus = 'ACTIVE' | 'UNHEALTHY' | 'STANDBY';

export type InstanceValue = ContractValue;

export type StreamMessage = {
  /** Arrival, `performance.now()`. */
  readonly atMs: number;
  readonly seq: number;
  readonly key: string;
  readonly body: string;
  /** Absent when the body is empty (a marker) or no instance. */
  readonly value: InstanceValue | undefined;
  readonly ttl: string;
  readonly owner: string;
  /** The last part of the owner header. */
  readonly podUid: string;
  /** `Nats-Marker-Reason`, or the KV operation that removed the key; empty for a value. */
  readonly removal: string;
};

export class StreamRecord {
  readonly messages: StreamMessage[] = [];
  readonly #connection: NatsConnection;
  readonly #prefix: string;

  private constructor(connection: NatsConnection, bucket: string) {
    this.#connection = connection;
    this.#prefix = `$KV.${bucket}.`;
  }

  /** Waits for the bucket's stream, which the operator makes, and records it from its first message. */
  static async open(natsUrl: string, bucket: string, deadlineMs: number): Promise<StreamRecord> {
    const connection = await connect({
      servers: natsUrl,
      name: 'e2e-reader',
      timeout: 5_000,
      maxReconnectAttempts: -1,
    });
    const record = new StreamRecord(connection, bucket);
    const stream = `KV_${bucket}`;
    const manager = await jetstreamManager(connection);
    await waitFor(`stream ${stream}`, () => manager.streams.info(stream), { deadlineMs });
    const consumer = await jetstream(connection).consumers.get(stream, { filter_subjects: [`${record.#prefix}>`] });
    await consumer.consume({
      callback: (message) => {
        const atMs = performance.now();
        const header = (name: string) => message.headers?.get(name) ?? '';
        const body = message.string();
        const owner = header('Rollcall-Owner');
        record.messages.push({
          atMs,
          seq: message.seq,
          key: message.subject.slice(record.#prefix.length),
          body,
          value: parseValue(body),
          ttl: header('Nats-TTL'),
          owner,
          podUid: owner.split('/').at(-1) ?? '',
          removal: header('Nats-Marker-Reason') || header('KV-Operation'),
        });
      },
    });
    return record;
  }

  /** The messages of a pod's key, also those (markers) that bear no owner. */
  ofPod(uid: string): readonly StreamMessage[] {
    const keys = new Set(this.messages.filter(({ podUid }) => podUid === uid).map(({ key }) => key));
    return this.messages.filter(({ key }) => keys.has(key));
  }

  /** Where the status of a pod's key changed: refreshes left out. A removal is a change to `undefined`. */
  changesOf(uid: string): readonly { readonly atMs: number; readonly status: InstanceStatus | undefined }[] {
    const changes: { atMs: number; status: InstanceStatus | undefined }[] = [];
    for (const { atMs, value } of this.ofPod(uid)) {
      if (changes.length === 0 || changes.at(-1)?.status !== value?.status)
        changes.push({ atMs, status: value?.status });
    }
    return changes;
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }
}

const parseValue = (body: string): InstanceValue | undefined => {
  if (body === '') return undefined;
  try {
    return contractValueSchema.parse(JSON.parse(body));
  } catch {
    return undefined;
  }
};
