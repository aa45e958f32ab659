// The invariants of the reliability page that need both the stream and the truth about the pods. Each takes the evidence
// and returns what breaks it. What the stream alone can prove is in test/support/stream-verdicts.ts.

import type { Sighting } from '../../support/stream-observer.ts';
import type { Fault, Violation } from '../evidence.ts';
import { percentile } from '../percentile.ts';
import { counted, leaderless, longOutages, obstructed, type Window, within } from './excuses.ts';
import { entryAt, type KeyEntry, type KeyStory } from './key-story.ts';
import { deadSpells, type KnownPod, readySpells, wasDead, wasReady } from './pod-truth.ts';

export type Evidence = {
  readonly story: KeyStory;
  readonly pods: readonly KnownPod[];
  readonly existed: (uid: string) => boolean;
  readonly faults: readonly Fault[];
  readonly leaderless: readonly Window[];
  readonly fromMs: number;
  readonly toMs: number;
  /** In the place of the limits of I2 and I4, where a case promises less. */
  readonly visibleP99Ms?: number | undefined;
};

/** A pod must have a key this long after it became Ready. */
const REGISTERED_MS = 5_000;
const GHOST_P99_MS = 2_000;
const TRUTH_P99_MS = 1_000;
/** Whatever the percentile says: nothing may stay wrong for so long. */
const NEVER_LONGER_MS = 15_000;
const ROLELESS_MS = 2_000;
/** Our watch may tell of a change so much later than the stream tells what the operators made of it. */
const WATCH_LATE_MS = 1_000;
const NAMED = 5;

export { leaderless };

/** I1: once there is a key it does not vanish, and there is one soon; nothing but a long outage of the registry excuses. */
export const gaps = (evidence: Evidence): { readonly lapses: number; readonly violations: readonly Violation[] } => {
  const violations: Violation[] = [];
  let lapses = 0;
  const outages = longOutages(evidence.faults);
  const excuses = [...evidence.leaderless, ...obstructed(evidence.faults)];
  for (const pod of evidence.pods) {
    const entries = evidence.story.byPod.get(pod.uid) ?? [];
    for (const spell of readySpells(pod, evidence.toMs)) {
      for (const gap of uncovered(entries, spell)) {
        if (gap.toMs <= evidence.fromMs || gap.fromMs >= evidence.toMs) continue;
        const isFirst = !wasUp(entries, spell.fromMs, gap.fromMs);
        const where = `${pod.service}/${pod.name}`;
        if (isFirst) {
          const waitedMs = counted(spell.fromMs, gap.toMs, excuses);
          if (waitedMs <= REGISTERED_MS) continue;
          violations.push({
            invariant: 'I1',
            atMs: gap.toMs,
            sentence: `${where}: Ready for ${ms(waitedMs)} without a key`,
          });
          continue;
        }
        lapses += 1;
        if (within(gap.fromMs, gap.toMs, outages)) continue;
        violations.push({
          invariant: 'I1',
          atMs: gap.fromMs,
          sentence: `${where}: no key for ${ms(gap.toMs - gap.fromMs)}`,
        });
      }
    }
  }
  return { lapses, violations };
};

/** The pod had been registered in this very spell: what stood before it may be its farewell from the last one. */
const wasUp = (entries: readonly KeyEntry[], fromMs: number, beforeMs: number): boolean =>
  isUp(entryAt(entries, fromMs)) ||
  entries.some((entry) => entry.atMs >= fromMs && entry.atMs < beforeMs && isUp(entry));

/** The parts of the spell in which the pod had no live key. */
const uncovered = (entries: readonly KeyEntry[], { fromMs, toMs }: Window): readonly Window[] => {
  const found: Window[] = [];
  let since = entryAt(entries, fromMs)?.status === undefined ? fromMs : undefined;
  for (const { atMs, status } of entries) {
    if (atMs <= fromMs) continue;
    if (atMs >= toMs) break;
    if (status === undefined) since ??= atMs;
    else if (since !== undefined) {
      found.push({ fromMs: since, toMs: atMs });
      since = undefined;
    }
  }
  if (since !== undefined) found.push({ fromMs: since, toMs });
  return found;
};

type Delays = { readonly delaysMs: readonly number[]; readonly violations: readonly Violation[] };

/** I2: how long the keys of pods that are dead went on to say otherwise. */
export const ghosts = (evidence: Evidence): Delays => {
  const excuses = [...evidence.leaderless, ...obstructed(evidence.faults)];
  const late: { readonly delayMs: number; readonly atMs: number; readonly sentence: string }[] = [];
  for (const pod of evidence.pods) {
    const entries = evidence.story.byPod.get(pod.uid) ?? [];
    for (const { fromMs, toMs } of deadSpells(pod, evidence.toMs)) {
      if (fromMs < evidence.fromMs || fromMs >= evidence.toMs) continue;
      const endedMs = isUp(entryAt(entries, fromMs)) ? firstAfter(entries, fromMs, (entry) => !isUp(entry)) : fromMs;
      const untilMs = Math.min(endedMs ?? evidence.toMs, toMs);
      const delayMs = counted(fromMs, untilMs, excuses);
      // Not over yet, or Ready again before it was said: neither is late before its time.
      if (endedMs !== untilMs && delayMs <= (evidence.visibleP99Ms ?? GHOST_P99_MS)) continue;
      late.push({
        delayMs,
        atMs: fromMs,
        sentence: `${pod.service}/${pod.name}: its key stood for ${ms(delayMs)} after it was not Ready`,
      });
    }
  }
  return verdict('I2', late, evidence.visibleP99Ms ?? GHOST_P99_MS);
};

/** I4: how long it takes until a key says what has become true. */
export const untruths = (evidence: Evidence): Delays => {
  const excuses = [...evidence.leaderless, ...obstructed(evidence.faults)];
  const late: { readonly delayMs: number; readonly atMs: number; readonly sentence: string }[] = [];
  const note = (pod: KnownPod, what: string, sinceMs: number, untilMs: number, saidMs: number | undefined) => {
    if (sinceMs < evidence.fromMs || sinceMs >= evidence.toMs) return;
    // Something else became true before.
    if ((saidMs ?? untilMs) > untilMs || (saidMs === undefined && untilMs < evidence.toMs)) return;
    const delayMs = counted(sinceMs, saidMs ?? evidence.toMs, excuses);
    if (saidMs === undefined && delayMs <= TRUTH_P99_MS) return;
    late.push({
      delayMs,
      atMs: sinceMs,
      sentence: `${pod.service}/${pod.name}: ${what} was not said for ${ms(delayMs)}`,
    });
  };
  for (const pod of evidence.pods) {
    const entries = evidence.story.byPod.get(pod.uid) ?? [];
    for (const { fromMs, toMs } of readySpells(pod, evidence.toMs)) {
      const saidMs = isUp(entryAt(entries, fromMs)) ? fromMs : firstAfter(entries, fromMs, isUp);
      note(pod, 'Ready', fromMs, toMs, saidMs);
    }
    pod.versions.slice(1).forEach(({ version, shownAtMs }, index) => {
      if (shownAtMs === undefined || !wasReady(pod, shownAtMs, shownAtMs)) return;
      const nextMs = Math.min(
        pod.versions[index + 2]?.askedAtMs ?? evidence.toMs,
        readySpells(pod, evidence.toMs).find((spell) => spell.fromMs <= shownAtMs && shownAtMs <= spell.toMs)?.toMs ??
          0,
      );
      const says = (entry: KeyEntry | undefined) => entry?.sighting.value?.version === version;
      const saidMs = says(entryAt(entries, shownAtMs)) ? shownAtMs : firstAfter(entries, shownAtMs, says);
      note(pod, `version ${version}`, shownAtMs, nextMs, saidMs);
    });
  }
  const { delaysMs, violations } = verdict('I4', late, evidence.visibleP99Ms ?? TRUTH_P99_MS);
  return { delaysMs, violations: [...violations, ...lies(evidence)] };
};

/** I4: values that were never true of their pod, or no longer. */
const lies = ({ story, pods, faults, fromMs }: Evidence): readonly Violation[] => {
  const known = new Map(pods.map((pod) => [pod.uid, pod]));
  const excuses = obstructed(faults);
  const said = new Map<string, KeyEntry>();
  return story.entries.flatMap((entry) => {
    const { atMs, key, uid, status, sighting } = entry;
    const { value, seq } = sighting;
    const pod = known.get(uid);
    const before = said.get(key);
    said.set(key, entry);
    if (atMs < fromMs || pod === undefined || value === undefined) return [];
    const { metadata } = value;
    const ip = pod.ip === undefined || metadata['ip'] === undefined || metadata['ip'] === pod.ip;
    const same = metadata['namespace'] === pod.namespace && metadata['pod'] === pod.name && ip;
    const known4 =
      value.serviceName === pod.service && value.stickyActiveGroup === pod.group && metadata['port'] === 8080;
    const version = pod.versions.some(({ version: given }) => given === value.version);
    const excused = excuses.filter((window) => window.fromMs <= atMs && atMs <= window.toMs);
    // Who cannot see may be late with what he saw before, but not with a pod that was Ready all the while.
    const sinceMs = Math.min(atMs - REGISTERED_MS, ...excused.map((window) => window.fromMs - REGISTERED_MS));
    const slander = status === 'UNHEALTHY' && wasReady(pod, sinceMs, atMs + WATCH_LATE_MS);
    const dead = wasDead(pod, atMs - GHOST_P99_MS, atMs + WATCH_LATE_MS);
    const revived = isUp(entry) && !isUp(before) && excused.length === 0 && dead;
    const role = status === 'STANDBY' && pod.group === null;
    const problem =
      !same || !known4 || !version
        ? 'untrue of its pod'
        : slander
          ? `UNHEALTHY of a pod that was Ready ${aroundIt(pod, atMs)}`
          : revived
            ? `${status} again of a pod that was not Ready`
            : role
              ? 'STANDBY without a group'
              : undefined;
    return problem === undefined
      ? []
      : [{ invariant: 'I4', atMs, sentence: `seq ${seq}, ${pod.service}/${pod.name}: ${problem}` }];
  });
};

/** From when to when the pod was Ready, in s before and after. */
const aroundIt = (pod: KnownPod, atMs: number): string =>
  readySpells(pod, Number.POSITIVE_INFINITY)
    .filter((spell) => spell.fromMs <= atMs && atMs <= spell.toMs)
    .map(
      ({ fromMs, toMs }) =>
        `from ${((fromMs - atMs) / 1_000).toFixed(1)} s to +${((toMs - atMs) / 1_000).toFixed(1)} s`,
    )
    .join();

/** I3: keys of pods that the API never had. */
export const strangers = ({ story, existed, fromMs }: Evidence): readonly Violation[] =>
  story.entries
    .filter(({ atMs, uid, status }) => atMs >= fromMs && status !== undefined && !existed(uid))
    .map(({ atMs, seq, key, uid }) => ({
      invariant: 'I3',
      atMs,
      sentence: `seq ${seq}, ${key}: no pod ever had the UID ${uid}`,
    }));

/** I5: time in which a group had Ready members and no ACTIVE key. */
export const roleless = (evidence: Evidence): readonly Violation[] => {
  const excuses = [...evidence.leaderless, ...obstructed(evidence.faults)];
  const groups = Map.groupBy(
    evidence.pods.filter(({ group }) => group !== null),
    ({ service, group }) => `${service}/${group}`,
  );
  return [...groups].flatMap(([name, members]) => {
    const uids = new Set(members.map(({ uid }) => uid));
    const active = new Set<string>();
    const violations: Violation[] = [];
    let sinceMs: number | undefined = evidence.fromMs;
    const judge = (untilMs: number) => {
      if (sinceMs === undefined || untilMs <= evidence.fromMs) return;
      const beginMs = Math.max(sinceMs, evidence.fromMs);
      const longest = Math.max(
        0,
        ...members.flatMap((pod) =>
          readySpells(pod, evidence.toMs).map((spell) =>
            counted(
              Math.max(beginMs, spell.fromMs),
              Math.max(Math.min(untilMs, spell.toMs), Math.max(beginMs, spell.fromMs)),
              excuses,
            ),
          ),
        ),
      );
      if (longest > ROLELESS_MS)
        violations.push({ invariant: 'I5', atMs: beginMs, sentence: `${name}: nobody ACTIVE for ${ms(longest)}` });
    };
    for (const { atMs, key, uid, status } of evidence.story.entries) {
      if (!uids.has(uid)) continue;
      const was = active.size;
      if (status === 'ACTIVE') active.add(key);
      else active.delete(key);
      if (was > 0 && active.size === 0) sinceMs = atMs;
      if (was === 0 && active.size > 0) {
        judge(atMs);
        sinceMs = undefined;
      }
    }
    if (active.size === 0) judge(evidence.toMs);
    return violations;
  });
};

const isUp = (entry: KeyEntry | undefined): boolean => entry?.status === 'ACTIVE' || entry?.status === 'STANDBY';

const firstAfter = (
  entries: readonly KeyEntry[],
  afterMs: number,
  fits: (entry: KeyEntry) => boolean,
): number | undefined => entries.find((entry) => entry.atMs > afterMs && fits(entry))?.atMs;

type Late = { readonly delayMs: number; readonly atMs: number; readonly sentence: string };

/** One violation for a percentile that is too high, with the worst; one for each that lasts far too long. */
const verdict = (invariant: string, late: readonly Late[], p99MaxMs: number): Delays => {
  const sorted = late.toSorted((a, b) => b.delayMs - a.delayMs);
  const delaysMs = late.map(({ delayMs }) => delayMs);
  const endless = sorted.filter(({ delayMs }) => delayMs > NEVER_LONGER_MS);
  const p99 = percentile(delaysMs, 0.99);
  const above = p99 > p99MaxMs ? sorted.slice(0, NAMED).filter(({ delayMs }) => delayMs > p99MaxMs) : [];
  const named = endless.length > 0 ? endless : above;
  return { delaysMs, violations: named.map(({ atMs, sentence }) => ({ invariant, atMs, sentence })) };
};

const ms = (value: number): string => `${Math.round(value).toLocaleString('en')} ms`;

/**
 * When the pod of a message ceased to be Ready, by the clock of `storedAtMs`; the message's own time where it was no longer.
 * @param atMs the campaign's time of a message
 */
export const livesUntil = (
  pods: readonly KnownPod[],
  atMs: (sighting: Sighting) => number,
): ((sighting: Sighting) => number) => {
  const spells = new Map(pods.map((pod) => [pod.uid, readySpells(pod, Number.POSITIVE_INFINITY)]));
  return (sighting) => {
    const toldMs = atMs(sighting);
    const spell = spells.get(sighting.podUid)?.find(({ toMs }) => toMs > toldMs);
    return sighting.storedAtMs + (spell === undefined ? 0 : spell.toMs - toldMs);
  };
};
