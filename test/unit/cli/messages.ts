// Messages of the registry's stream for tests: an ordinary value of ours, of which a test states what it is about.

import { formatTimestamp, UTC } from '../../../src/domain/timestamp.ts';
import type { BucketReport, StoredMessage } from '../../../src/writer/registry.ts';
import { NINE } from '../../support/builders.ts';

export const BUCKET = 'service-registry';
export const KEY = 'service-instances.trading-service.trading-service-6f1d2c3b';

/** What `inspect` says of a bucket that will do. */
export const USABLE = {
  kind: 'usable',
  serverVersion: '2.12.1',
  incarnation: 'first',
  lastRevision: 7,
  messages: 1,
  bytes: 0,
  maxBytes: -1,
  maxAgeSeconds: 0,
  markerTtlSeconds: 60,
  history: 1,
  replicas: 1,
} as const satisfies BucketReport;

export type MessageOptions = Partial<Omit<StoredMessage, 'subject' | 'body' | 'ttlSeconds'>> & {
  readonly key?: string;
  readonly value?: Readonly<Record<string, unknown>>;
  readonly text?: string;
  /** Default 30; null: none. */
  readonly ttlSeconds?: number | null;
};

/** `trading-service-6f1d2c3b`, ACTIVE 1.4.2, of pod `trading/trading-1`, stored at nine with a TTL of 30 s. */
export const aMessage = (options: MessageOptions = {}): StoredMessage => {
  const { key = KEY, value = {}, text, ttlSeconds = 30, ...rest } = options;
  const [, serviceName, instanceId] = key.split('.');
  const operation = rest.operation ?? 'PUT';
  const storedAtMs = rest.storedAtMs ?? NINE;
  const written = {
    serviceName,
    instanceId,
    version: '1.4.2',
    status: 'ACTIVE',
    lastHeartbeat: formatTimestamp(storedAtMs, UTC),
    stickyActiveGroup: null,
    metadata: { pod: 'trading-1' },
    ...value,
  };
  return {
    subject: `$KV.${BUCKET}.${key}`,
    revision: 7,
    storedAtMs,
    operation,
    headers: {
      'Rollcall-Owner': 'my-cluster/trading/trading-1/6f1d2c3b-4a59-4e0f-8d7c-1b2a39485766',
      'Rollcall-Term': '5',
      'Rollcall-Reason': 'Refresh',
    },
    body: operation === 'PUT' ? new TextEncoder().encode(text ?? JSON.stringify(written)) : new Uint8Array(0),
    ...(ttlSeconds === null ? {} : { ttlSeconds }),
    ...rest,
  };
};
