// Puts the verdicts together for a span of time: those that the stream alone can prove, those that take the truth, and
// the figures that every case shows.

import { REMOVED_BY_HAND, type Sighting, type StreamObserver } from '../../support/stream-observer.ts';
import { breaches, oldestRefresh, PLANTED } from '../../support/stream-verdicts.ts';
import type { Fault, Judgement, Term, Violation } from '../evidence.ts';
import { percentile } from '../percentile.ts';
import { leaderless, obstructed, type Window, within } from './excuses.ts';
import { gaps, ghosts, livesUntil, roleless, strangers, untruths } from './invariants.ts';
import { entryAt, type KeyStory, tellStory } from './key-story.ts';
import { type KnownPod, type PodTruth, readySpells, wasReady } from './pod-truth.ts';
import type { StatusSample } from './status-watch.ts';

export type Case = {
  readonly fromMs: number;
  readonly toMs: number;
  readonly faults: readonly Fault[];
  readonly visibleP99Ms?: number | undefined;
  readonly stream: StreamObserver;
  readonly truth: PodTruth;
  readonly foreign: ReadonlyMap<string, number>;
  readonly statuses: readonly StatusSample[];
  readonly atMs: (sighting: Sighting) => number;
};

const INTERVAL_MS = 10_000;
/** I8: one interval and this long a status may be late. */
const STATUS_LATE_MS = INTERVAL_MS + 5_000;
const CONVERGED_MS = 15_000;
/** Removals that are no client's. */
const NOBODYS: readonly string[] = [REMOVED_BY_HAND, 'MaxAge'];

export const judge = (one: Case): Judgement => {
  const { stream, truth, foreign, atMs, fromMs, toMs, faults, visibleP99Ms } = one;
  const { messages } = stream;
  const from = Math.max(
    0,
    messages.findIndex((sighting) => atMs(sighting) >= fromMs),
  );
  const story = tellStory(
    messages,
    atMs,
    ({ key, seq }) => seq >= (foreign.get(key ?? '') ?? Number.POSITIVE_INFINITY),
  );
  const pods = [...truth.pods.values()];
  const existed = (uid: string) => truth.existed(uid);
  const evidence = { story, pods, existed, faults, leaderless: leaderless(messages, atMs), fromMs, toMs, visibleP99Ms };
  const gapped = gaps(evidence);
  const ghostly = ghosts(evidence);
  const untrue = untruths(evidence);
  const effort = excessiveEffort(one, story);
  return {
    violations: [
      ...breaches(stream, from).map((sentence) => streamViolation(sentence, messages, atMs)),
      ...gapped.violations,
      ...ghostly.violations,
      ...strangers(evidence),
      ...untrue.violations,
      ...roleless(evidence),
      ...foreignTouched(one),
      ...flattery(one, story),
      ...effort,
    ].toSorted((a, b) => a.atMs - b.atMs),
    lapses: gapped.lapses,
    oldestRefreshMs: oldestRefresh(stream, from, livesUntil(pods, atMs)).ageMs,
    ghostP99Ms: percentile(ghostly.delaysMs, 0.99),
    truthP99Ms: percentile(untrue.delaysMs, 0.99),
    deaths: ghostly.delaysMs.length,
    changes: untrue.delaysMs.length,
    messages: messages.length - from,
    unseen: stream.unseen,
  };
};

/** The verdicts over the stream name their invariant at the end, and their place at the beginning. */
const streamViolation = (
  sentence: string,
  messages: readonly Sighting[],
  atMs: (sighting: Sighting) => number,
): Violation => {
  const seq = Number(/^seq (\d+)/.exec(sentence)?.[1]);
  const sighting = messages.find((message) => message.seq === seq);
  const invariant = /\((I\d+)\)$/.exec(sentence)?.[1] ?? 'contract';
  return { invariant, atMs: sighting === undefined ? 0 : atMs(sighting), sentence };
};

/** I7: what others wrote has no other message than theirs, from then on; and the server's own when it expires it. */
const foreignTouched = ({ stream, foreign, fromMs, atMs }: Case): readonly Violation[] =>
  stream.messages
    .filter((sighting) => sighting.seq > (foreign.get(sighting.key ?? '') ?? Number.POSITIVE_INFINITY))
    .filter((sighting) => atMs(sighting) >= fromMs)
    .filter(({ headers, operation }) => headers[PLANTED] === undefined && !NOBODYS.includes(operation))
    .map((sighting) => ({
      invariant: 'I7',
      atMs: atMs(sighting),
      sentence: `seq ${sighting.seq}, ${sighting.key}: not ours`,
    }));

/**
 * I8: Ready=True of a resource while the key of one of its pods has been absent for too long. Who does not run says
 * nothing, and nobody can speak of a pod that the API server never showed.
 */
const flattery = ({ statuses, truth, fromMs, toMs, faults }: Case, story: KeyStory): readonly Violation[] => {
  const silent = faults
    .filter(({ excuse }) => excuse === 'operators')
    .map((fault) => ({ fromMs: fault.fromMs, toMs: fault.toMs + STATUS_LATE_MS }));
  const unheard = obstructed(faults.filter(({ excuse }) => excuse === 'blind'));
  const wasShown = (pod: KnownPod, atMs: number) => {
    const spell = readySpells(pod, toMs).find((one) => one.fromMs <= atMs && atMs <= one.toMs);
    return spell !== undefined && !within(spell.fromMs, atMs, unheard);
  };
  const absent = (uid: string, atMs: number) => {
    const entries = story.byPod.get(uid) ?? [];
    if (entryAt(entries, atMs - STATUS_LATE_MS)?.status !== undefined) return false;
    return !entries.some(
      (entry) => entry.atMs > atMs - STATUS_LATE_MS && entry.atMs <= atMs && entry.status !== undefined,
    );
  };
  const flattered = new Map<string, Violation>();
  for (const { atMs, ready } of statuses) {
    if (atMs < fromMs || atMs > toMs || within(atMs, atMs, silent)) continue;
    for (const pod of truth.pods.values()) {
      if (flattered.has(pod.service) || !ready.has(pod.service)) continue;
      if (!wasReady(pod, atMs - STATUS_LATE_MS, atMs) || !wasShown(pod, atMs) || !absent(pod.uid, atMs)) continue;
      const sentence = `${pod.service} says Ready, and ${pod.name} has had no key for ${STATUS_LATE_MS / 1_000} s`;
      flattered.set(pod.service, { invariant: 'I8', atMs, sentence });
    }
  }
  return [...flattered.values()];
};

/** I12: writes in every ten seconds in which nothing was broken and nothing had to be made good. */
const excessiveEffort = (
  { faults, truth, fromMs, toMs, stream, atMs }: Case,
  story: KeyStory,
): readonly Violation[] => {
  const mending: readonly Window[] = [
    ...faults.map((fault) => ({ fromMs: fault.fromMs, toMs: fault.toMs + CONVERGED_MS })),
    ...leaderless(stream.messages, atMs).map((window) => ({ fromMs: window.fromMs, toMs: window.toMs + CONVERGED_MS })),
  ];
  const changesAtMs = [...truth.pods.values()].flatMap(({ steps, versions }) => [
    ...steps.map((step) => step.atMs),
    ...versions.map(({ askedAtMs }) => askedAtMs),
  ]);
  const found: Violation[] = [];
  for (let begin = fromMs; begin + INTERVAL_MS <= toMs; begin += INTERVAL_MS) {
    const end = begin + INTERVAL_MS;
    if (mending.some((window) => window.fromMs < end && window.toMs > begin)) continue;
    const writes = story.entries.filter(
      (entry) => entry.atMs >= begin && entry.atMs < end && entry.reason !== 'MaxAge',
    );
    const changes = changesAtMs.filter((at) => at >= begin - 1_000 && at < end).length;
    const keys = new Set(writes.map(({ key }) => key)).size;
    const most = 1.2 * keys + 2 * changes;
    if (writes.length > most) {
      found.push({
        invariant: 'I12',
        atMs: begin,
        sentence: `${writes.length} writes of ${keys} keys with ${changes} changes in 10 s`,
      });
    }
  }
  return found;
};

/** The terms, with their holders, as the lock's messages show them. */
export const termsOf = (messages: readonly Sighting[], atMs: (sighting: Sighting) => number): readonly Term[] => {
  const terms: (Term & { toMs: number })[] = [];
  for (const sighting of messages) {
    if (!sighting.subject.endsWith('.lock') || sighting.operation !== 'PUT') continue;
    const term = Number(sighting.headers['Rollcall-Term']);
    const now = atMs(sighting);
    const last = terms.at(-1);
    if (last?.term === term) last.toMs = now;
    else terms.push({ term, holder: sighting.headers['Rollcall-Holder'] ?? '', fromMs: now, toMs: now });
  }
  return terms;
};
