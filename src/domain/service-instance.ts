// The bytes readers see: the value of a key, encoded once per change and cut where the heartbeat goes, so that a
// refresh costs one concatenation; and the tolerant reading of a value that somebody stored.

import type { InstanceContent, InstanceStatus } from './instance.ts';
import { withStickyTerm } from './sticky.ts';

export { instanceHeaders, ownerHeader, parseOwner } from './message-headers.ts';
export { formatTimestamp, type Offset as HeartbeatOffset, parseOffset } from './timestamp.ts';

/** `head + heartbeat + tail` is the JSON; the heartbeat is `formatTimestamp`'s text, which needs no escaping. */
export type EncodedInstance = { readonly head: string; readonly tail: string };

/**
 * `stickyTerm`: of the ACTIVE one of a sticky group.
 * Exactly the contract's fields in the contract's order: one more makes the instance invisible to strict readers.
 */
export const encodeInstance = (
  content: InstanceContent,
  instanceId: string,
  status: InstanceStatus,
  stickyTerm?: number,
): EncodedInstance => ({
  head:
    `{"serviceName":${JSON.stringify(content.serviceName)},"instanceId":${JSON.stringify(instanceId)}` +
    `,"version":${JSON.stringify(content.version)},"status":"${status}","lastHeartbeat":"`,
  tail:
    `","stickyActiveGroup":${JSON.stringify(content.stickyActiveGroup)}` +
    `,"metadata":${JSON.stringify(stickyTerm === undefined ? content.metadata : withStickyTerm(content.metadata, stickyTerm))}}`,
});

export type StoredInstance = {
  readonly status: InstanceStatus;
  /** ms since the epoch. */
  readonly lastHeartbeatMs: number;
  readonly version: string;
  /** What we would encode to get it again: a value of ours whole, of a foreign one what fits. */
  readonly content: InstanceContent;
};

// Nothing we write is larger than 8 KiB; a foreign megabyte is not worth parsing.
const STORED_BYTES_MAX = 65_536;
const UTF8 = new TextDecoder();

/** Undefined for whatever is no instance: empty bodies, other JSON, no JSON, too much of it. Never throws. */
export const parseInstance = (bytes: Uint8Array): StoredInstance | undefined => {
  if (bytes.length === 0 || bytes.length > STORED_BYTES_MAX) return undefined;
  const value = parseJson(UTF8.decode(bytes));
  if (typeof value !== 'object' || value === null) return undefined;
  const status = field(value, 'status');
  const serviceName = field(value, 'serviceName') ?? field(value, 'service_name');
  const lastHeartbeat = field(value, 'lastHeartbeat') ?? field(value, 'last_heartbeat');
  const version = field(value, 'version');
  const group = field(value, 'stickyActiveGroup') ?? field(value, 'sticky_active_group');
  if (status !== 'ACTIVE' && status !== 'UNHEALTHY' && status !== 'STANDBY') return undefined;
  if (typeof lastHeartbeat !== 'string' || typeof version !== 'string' || typeof serviceName !== 'string') {
    return undefined;
  }
  const lastHeartbeatMs = Date.parse(lastHeartbeat);
  if (Number.isNaN(lastHeartbeatMs)) return undefined;
  const stickyActiveGroup = typeof group === 'string' ? group : null;
  const metadata = parseMetadata(field(value, 'metadata'));
  return { status, lastHeartbeatMs, version, content: { serviceName, version, stickyActiveGroup, metadata } };
};

const parseMetadata = (value: unknown): InstanceContent['metadata'] => {
  const metadata = Object.create(null) as Record<string, string | number>;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return metadata;
  for (const key of Object.keys(value)) {
    const entry = field(value, key);
    if (typeof entry === 'string' || typeof entry === 'number') metadata[key] = entry;
  }
  return metadata;
};

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

const field = (object: object, name: string): unknown =>
  Object.hasOwn(object, name) ? (object as Readonly<Record<string, unknown>>)[name] : undefined;
