// What the observer hands over: what was done to the system, what it found broken, the figures, and the samples of which
// the timeline is drawn. Plain data that crosses between processes; all times by `nowMs`.

/**
 * What a fault excuses while it lasts. `registry`: it cannot be written. `blind`: the operators cannot hear the API server.
 * `keys`: somebody took keys away, and the case itself judges when they are back. `operators`: none of them runs. Time
 * without a leader needs no word: the stream shows it.
 */
export type Excuse = 'registry' | 'blind' | 'keys' | 'operators' | 'none';

export type Fault = { readonly what: string; readonly excuse: Excuse; readonly fromMs: number; toMs: number };

export type Violation = { readonly invariant: string; readonly atMs: number; readonly sentence: string };

export type Sample = {
  readonly atMs: number;
  readonly liveKeys: number;
  readonly active: number;
  readonly oldestRefreshMs: number;
};

export type Term = { readonly term: number; readonly holder: string; readonly fromMs: number; readonly toMs: number };

export type Judgement = {
  readonly violations: readonly Violation[];
  /** Keys of Ready pods that vanished, excused or not. */
  readonly lapses: number;
  readonly oldestRefreshMs: number;
  /** From the API's word to the key's, without what is excused. */
  readonly ghostP99Ms: number;
  readonly truthP99Ms: number;
  readonly deaths: number;
  readonly changes: number;
  readonly messages: number;
  /** Messages that were replaced before the observer got them. */
  readonly unseen: number;
};

/** Spans judged one by one, as one: sums, and the worst of each figure. */
export const together = (spans: readonly Judgement[]): Judgement => {
  const sum = (of: (span: Judgement) => number) => spans.reduce((total, span) => total + of(span), 0);
  const worst = (of: (span: Judgement) => number) => Math.max(0, ...spans.map(of));
  return {
    violations: spans.flatMap(({ violations }) => violations),
    lapses: sum(({ lapses }) => lapses),
    oldestRefreshMs: worst(({ oldestRefreshMs }) => oldestRefreshMs),
    ghostP99Ms: worst(({ ghostP99Ms }) => ghostP99Ms),
    truthP99Ms: worst(({ truthP99Ms }) => truthP99Ms),
    deaths: sum(({ deaths }) => deaths),
    changes: sum(({ changes }) => changes),
    messages: sum(({ messages }) => messages),
    // Counted since the beginning.
    unseen: worst(({ unseen }) => unseen),
  };
};

export type Timeline = { readonly samples: readonly Sample[]; readonly terms: readonly Term[] };

/** A sighting of the lock in other hands. */
export type Taken = { readonly atMs: number; readonly term: number; readonly pid: number };
