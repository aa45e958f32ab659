// Stands beside a watch while it is read: asks for proofs of freshness while the watch is silent, and gives it up when
// it deserves it. Reads no event itself, and does not decide what comes after.

import type { Clock } from '../clock.ts';
import { CONFIRM_AFTER_MS } from '../domain/brake.ts';
import type { Log } from '../log.ts';
import { ApiError } from './api-transport.ts';
import type { Freshness, FreshnessProbe } from './freshness.ts';
import type { LinkedAbort } from './linked-abort.ts';
import { reaches } from './resource-version.ts';

export type StreamLimits = {
  /** A stream without a byte for so long is replaced; bookmarks come about once a minute. */
  readonly quietMs: number;
  /** Without proof of freshness for so long a proof is asked for. */
  readonly proofIntervalMs: number;
  /** Watches that stay silent for so long, while the server answers otherwise, are given up for a list in pages. */
  readonly silentMs: number;
};

export const STREAM_LIMITS: StreamLimits = { quietMs: 90_000, proofIntervalMs: 5_000, silentMs: 20_000 };

/** A watch of one namespace cannot always be proven fresh in an idle cluster (see `freshness.ts`), and to list one is
 * cheap: rather list too often than be called blind. */
export const NAMESPACED_LIMITS: Partial<StreamLimits> = { silentMs: 10_000 };

/**
 * `quiet`: no byte for too long. `behind`: another watch saw an event that this one does not bring. `silent`: no watch
 * says anything, though the server answers; do not trust a watch for the next list. `doubtful`: they said nothing for
 * longer than can be believed of a server that sends no bookmarks when asked. `rewound`: the cluster was restored from a
 * backup. `unconfirmed`: what the brake holds has been held for long enough that another list may decide.
 */
export type GivenUp = 'quiet' | 'behind' | 'silent' | 'doubtful' | 'rewound' | 'unconfirmed';

export type GuardedStream = {
  readonly stop: LinkedAbort;
  readonly openedAtMs: number;
  lastByteAtMs: number;
  /** True from the moment the view is equal to what the stream has brought. */
  live: boolean;
  givenUp: GivenUp | undefined;
  /** The right to ask whether it is fresh is missing: it was given up for this. */
  denial: ApiError | undefined;
};

export type GuardOptions = {
  readonly stream: GuardedStream;
  readonly clock: Clock;
  readonly log: Log;
  readonly path: string;
  readonly limits: StreamLimits;
  readonly probe: FreshnessProbe;
  readonly source: { readonly lastProofAtMs: number; readonly unconfirmedSinceMs: number | undefined };
  /** Where the stream stands. */
  readonly place: () => string | undefined;
  /** The view was right as of `atMs`, and nothing happened to it up to `place`. */
  readonly proven: (atMs: number, place: string) => void;
  readonly count: (what: 'probes' | 'probesWithoutProof') => void;
  readonly signal: AbortSignal;
};

/** An event that another watch has seen must come on ours within this, or ours is behind. */
const CATCH_UP_MS = 2_000;
const PROBE_PAUSE_MS = 1_000;
/** A stream that was just opened, or is in the middle of something, may say it by itself. */
const SETTLE_MS = 500;

/** Runs until the signal aborts, or the stream is given up: then that is noted in it and its `stop` aborted. */
export async function guardStream(options: GuardOptions): Promise<void> {
  const { stream, clock, signal, source } = options;
  const { quietMs, proofIntervalMs, silentMs } = options.limits;
  const giveUp = (why: GivenUp) => {
    stream.givenUp = why;
    stream.stop.abort();
  };
  let silentSinceMs: number | undefined;
  while (!signal.aborted) {
    const now = clock.monotonicMs();
    const quietForMs = now - stream.lastByteAtMs;
    if (stream.live && quietForMs >= quietMs) return giveUp('quiet');
    if (now - (source.unconfirmedSinceMs ?? now) >= CONFIRM_AFTER_MS) return giveUp('unconfirmed');
    if (!stream.live && quietForMs >= silentMs) return giveUp('silent');
    const proofDueInMs = Math.max(
      proofIntervalMs - (now - source.lastProofAtMs),
      SETTLE_MS - quietForMs,
      options.probe.notBeforeMs - now,
    );
    if (!stream.live || proofDueInMs > 0) {
      silentSinceMs = undefined;
      const dueInMs = stream.live ? proofDueInMs : Math.min(proofIntervalMs, silentMs - quietForMs);
      await clock.sleep(Math.max(1, dueInMs), signal);
      continue;
    }
    const verdict = await judge(options);
    if (signal.aborted) return;
    if (verdict instanceof ApiError) {
      stream.denial = verdict;
      return stream.stop.abort();
    }
    if (verdict === 'behind' || verdict === 'doubtful' || verdict === 'rewound') return giveUp(verdict);
    if (verdict === 'proven') continue;
    // Not forgotten where a probe between two silent ones fails: a server that lost its own watch may also be slow.
    if (verdict === 'silent') {
      silentSinceMs ??= Math.max(source.lastProofAtMs, stream.lastByteAtMs);
      if (clock.monotonicMs() - silentSinceMs >= silentMs) return giveUp('silent');
    }
    await clock.sleep(PROBE_PAUSE_MS, signal);
  }
}

/** The error where the right to ask is missing. */
async function judge(options: GuardOptions): Promise<Freshness['kind'] | ApiError> {
  const { clock, log, path, probe, place, proven, count, signal } = options;
  count('probes');
  const freshness = await probe.probe(() => place() ?? '', signal);
  if (freshness.kind !== 'proven') count('probesWithoutProof');
  switch (freshness.kind) {
    case 'proven':
      proven(freshness.asOfMs, freshness.resourceVersion);
      return 'proven';
    case 'behind':
      await clock.sleep(CATCH_UP_MS, signal);
      return reaches(place() ?? '', freshness.resourceVersion) ? 'proven' : 'behind';
    case 'silent':
    case 'doubtful':
    case 'rewound':
      return freshness.kind;
    case 'unanswered':
      if (signal.aborted) return 'unanswered';
      log.debug({ path, error: freshness.error.message }, 'no proof of freshness');
      return freshness.error.kind === 'denied' ? freshness.error : 'unanswered';
    default:
      return freshness satisfies never;
  }
}
