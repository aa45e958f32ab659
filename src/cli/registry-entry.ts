// A key of the registry as a person sees it: what its value says, whose it is and how long it lives. Pure; reading it
// from the stream is `list-command.ts`.

import type { InstanceContent, InstanceStatus } from '../domain/instance.ts';
import { type Owner, parseOwner } from '../domain/message-headers.ts';
import { parseInstanceKey } from '../domain/names.ts';
import { parseInstance } from '../domain/service-instance.ts';
import type { StoredMessage } from '../writer/registry.ts';
import type { TableLine } from './registry-table.ts';

export type RegistryEntry = {
  readonly key: string;
  readonly serviceName: string;
  readonly instanceId: string;
  readonly status: InstanceStatus;
  readonly content: InstanceContent;
  /** Wall ms of `lastHeartbeat`, by the writer's clock. */
  readonly heartbeatMs: number;
  /** Wall ms when the server stored it, by the server's clock. */
  readonly storedAtMs: number;
  readonly revision: number;
  /** Undefined: it has no TTL, and never lapses. */
  readonly ttlMs: number | undefined;
  /** Undefined for what others wrote. */
  readonly owner: Owner | undefined;
  readonly term: number | undefined;
  /** Why it was last written; empty for what others wrote. */
  readonly reason: string;
};

/** `other`: no key of an instance. `unreadable`: one that holds no value of an instance. `gone`: a marker. */
export type ReadEntry =
  | { readonly kind: 'entry'; readonly entry: RegistryEntry }
  | { readonly kind: 'gone'; readonly key: string; readonly how: 'lapsed' | 'removed' }
  | { readonly kind: 'unreadable'; readonly key: string }
  | { readonly kind: 'other' };

export const readEntry = (message: StoredMessage, bucket: string): ReadEntry => {
  const parts = parseInstanceKey(message.subject.slice(`$KV.${bucket}.`.length));
  if (parts === undefined) return { kind: 'other' };
  const { key, serviceName, instanceId } = parts;
  if (message.operation !== 'PUT')
    return { kind: 'gone', key, how: message.operation === 'MaxAge' ? 'lapsed' : 'removed' };
  const value = parseInstance(message.body);
  if (value === undefined) return { kind: 'unreadable', key };
  const { headers, ttlSeconds } = message;
  const term = headers['Rollcall-Term'];
  const entry: RegistryEntry = {
    key,
    serviceName,
    instanceId,
    status: value.status,
    content: value.content,
    heartbeatMs: value.lastHeartbeatMs,
    storedAtMs: message.storedAtMs,
    revision: message.revision,
    ttlMs: ttlSeconds === undefined ? undefined : ttlSeconds * 1_000,
    owner: parseOwner(headers['Rollcall-Owner'] ?? ''),
    term: term === undefined ? undefined : Number(term),
    reason: headers['Rollcall-Reason'] ?? '',
  };
  return { kind: 'entry', entry };
};

/** Both clocks at one moment: ages of heartbeats are told by ours, TTLs are counted by the server's. */
export type Clocks = { readonly wallMs: number; readonly serverWallMs: number };

export const leftMsOf = ({ ttlMs, storedAtMs }: RegistryEntry, { serverWallMs }: Clocks): number =>
  ttlMs === undefined ? Number.POSITIVE_INFINITY : storedAtMs + ttlMs - serverWallMs;

const FOREIGN = 'not of Rollcall';

export const ownerText = (owner: Owner | undefined): string =>
  owner === undefined ? FOREIGN : `${owner.namespace}/${owner.name}`;

export const tableLineOf = (entry: RegistryEntry, clocks: Clocks, gone?: TableLine['gone']): TableLine => ({
  serviceName: entry.serviceName,
  instanceId: entry.instanceId,
  status: entry.status,
  version: entry.content.version,
  heartbeatAgeMs: clocks.wallMs - entry.heartbeatMs,
  ttlMs: entry.ttlMs,
  leftMs: leftMsOf(entry, clocks),
  owner: ownerText(entry.owner),
  lastWrite: entry.reason,
  gone,
});

/** The same as data, for programs. Times in seconds, to the millisecond. */
export const dataOf = (entry: RegistryEntry, clocks: Clocks) => ({
  key: entry.key,
  serviceName: entry.serviceName,
  instanceId: entry.instanceId,
  status: entry.status,
  version: entry.content.version,
  stickyActiveGroup: entry.content.stickyActiveGroup,
  heartbeatAgeSeconds: Math.round(clocks.wallMs - entry.heartbeatMs) / 1_000,
  ttlSeconds: entry.ttlMs === undefined ? null : entry.ttlMs / 1_000,
  secondsLeft: entry.ttlMs === undefined ? null : Math.round(leftMsOf(entry, clocks)) / 1_000,
  owner:
    entry.owner === undefined
      ? null
      : {
          operatorId: entry.owner.operatorId,
          namespace: entry.owner.namespace,
          pod: entry.owner.name,
          podUid: entry.owner.uid,
        },
  lastWrite: entry.reason === '' ? null : entry.reason,
  term: entry.term ?? null,
  revision: entry.revision,
  metadata: entry.content.metadata,
});

export const byKey = (a: RegistryEntry, b: RegistryEntry): number => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0);

/**
 * One key for each instance, the dotted one where there are two (key layout `Underscore`): `entries` in the order of
 * their keys.
 */
export const onePerInstance = (entries: readonly RegistryEntry[]): readonly RegistryEntry[] => {
  const shown = new Map<string, RegistryEntry>();
  for (const entry of entries) {
    const instance = `${entry.serviceName}/${entry.instanceId}`;
    if (!shown.has(instance)) shown.set(instance, entry);
  }
  return [...shown.values()];
};
