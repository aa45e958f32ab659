// What the judges know of a key of ours that stands in the stream.

import type { ParsedKey } from '../../../src/domain/names.ts';
import type { World } from './world.ts';

export type Live = {
  readonly key: ParsedKey;
  readonly uid: string;
  readonly status: string;
  readonly value: Value;
  readonly atMs: number;
  readonly ttlMs: number;
  /** So much sooner it lapses, because the server's clock jumped. */
  soonerMs: number;
};

export type Stored = ReturnType<World['stream']['messages']>[number];

export type Value = {
  readonly status: string;
  readonly lastHeartbeat: string;
  readonly stickyActiveGroup: string | null;
  readonly metadata: Readonly<Record<string, unknown>> & { readonly stickyTerm?: number };
};

/** Readers take the instance for alive. */
export const isUp = (status: string): boolean => status === 'ACTIVE' || status === 'STANDBY';
