// What limits a resource that works all the same: the reasons of the condition Degraded, each with its sentence. Pure.

import { CONDITION_REASONS } from './crd-status-schema.ts';

export type LimitationReason = (typeof CONDITION_REASONS)['Degraded']['True'][number];

type Seconds = { readonly ttlSeconds: number; readonly refreshIntervalSeconds: number };

/** Which brake: on what is missing in lists, or on nodes that look lost. */
export type Holding = 'missing' | 'nodes';

export type Circumstances = {
  /** As the settings say; undefined while the spec is invalid. */
  readonly agreed?: Seconds | undefined;
  /** As stretched by the write budget, before the bucket shortens it. */
  readonly paced?: Seconds | undefined;
  /** Of the bucket; 0: none. */
  readonly maxAgeSeconds: number;
  /** A brake holds something. */
  readonly holding?: Holding | undefined;
  /** The API server cannot be heard. */
  readonly outage: boolean;
  /** The NATS server's clock minus ours; 0: nothing worth telling. */
  readonly clockSkewSeconds: number;
  /** What was made of versions that were not of the right form. */
  readonly versionNotes: readonly string[];
};

/** Readers hide entries older than 35 s. */
const READERS_PATIENCE_SECONDS = 30;
/** A hand-over after a crash takes up to 8 s, and the first refresh after it must still come in time. */
const HANDOVER_TTL_SECONDS = 15;

/** In the order of the list: the worst first. */
export const limitationsOf = (
  circumstances: Circumstances,
): readonly { readonly reason: LimitationReason; readonly message: string }[] =>
  CONDITION_REASONS.Degraded.True.flatMap((reason) => {
    const message = SENTENCES[reason](circumstances);
    return message === undefined ? [] : { reason, message };
  });

const HOLDING: Readonly<Record<Holding, string>> = {
  missing: 'So much is missing from what the API server shows that it is kept until a second look confirms it.',
  nodes:
    'So many nodes are silent at once that nothing is concluded from it: the keys of their pods are kept up until the nodes are heard, or a person releases the brake.',
};

const SENTENCES: Readonly<Record<LimitationReason, (circumstances: Circumstances) => string | undefined>> = {
  Holding: ({ holding, outage }) => {
    if (outage) return 'The API server cannot be heard: keys are kept up as apiOutage says.';
    return holding === undefined ? undefined : HOLDING[holding];
  },
  ClockSkew: ({ clockSkewSeconds: seconds }) =>
    seconds === 0
      ? undefined
      : `The NATS server's clock is ${Math.abs(seconds)} s ${seconds > 0 ? 'ahead of' : 'behind'} Rollcall's, by which heartbeats are dated: one of the two is wrong.`,
  BudgetStretched: ({ agreed, paced }) => {
    if (agreed === undefined || paced === undefined) return undefined;
    if (agreed.refreshIntervalSeconds === paced.refreshIntervalSeconds) return undefined;
    const interval = `each ${paced.refreshIntervalSeconds} s instead of ${agreed.refreshIntervalSeconds} s`;
    const ttl =
      agreed.ttlSeconds === paced.ttlSeconds
        ? ''
        : ` and live for ${paced.ttlSeconds} s instead of ${agreed.ttlSeconds} s`;
    return `The keys of all services are more than --max-writes-per-second allows to refresh in time: these are refreshed ${interval}${ttl}.`;
  },
  TtlShortenedByBucket: ({ paced, maxAgeSeconds }) =>
    paced !== undefined && maxAgeSeconds > 0 && maxAgeSeconds < paced.ttlSeconds
      ? `The bucket's max_age of ${maxAgeSeconds} s is shorter than the TTL of ${paced.ttlSeconds} s.`
      : undefined,
  RefreshSlowerThanReaders: ({ paced }) =>
    paced !== undefined && paced.refreshIntervalSeconds > READERS_PATIENCE_SECONDS
      ? `Some readers hide entries older than 35 s; this one is refreshed each ${paced.refreshIntervalSeconds} s.`
      : undefined,
  TtlShorterThanHandover: ({ paced }) =>
    paced !== undefined && paced.ttlSeconds < HANDOVER_TTL_SECONDS
      ? `A TTL of ${paced.ttlSeconds} s can end before another replica takes over from one that died.`
      : undefined,
  VersionNormalised: ({ versionNotes }) => {
    const notes = [...new Set(versionNotes)].sort();
    const more = notes.length > 1 ? `, and ${notes.length - 1} more` : '';
    return notes[0] === undefined ? undefined : `Version: ${notes[0]}${more}.`;
  },
};
