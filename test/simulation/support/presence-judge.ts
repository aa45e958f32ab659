// Judges that Ready pods have live keys at every look, whatever did or did not happen to them (I1), and that no status
// says Ready=True for one that is absent for longer than an interval and 5 s (I8). When each key went is not its concern.

import { asList, asObject } from '../../../src/domain/raw.ts';
import { REGISTRATIONS, type Truth, type World } from './world.ts';

/** I1: a pod counts as Ready once it has been so for this long; and the judge looks every 0.5 s. */
const READY_FOR_MS = 5_500;
/** I8, and a status is written once in 2 s at most. */
const TOLD_LATE_MS = 5_000 + 2_500;

/** A status that somebody wrote over the leader's is noticed after 5 s. */
const LED_FOR_MS = 6_000;

export class PresenceJudge {
  readonly #world: World;
  /** Since when Ready pods are seen without a key. */
  readonly #absentSinceMs = new Map<string, number>();

  #leader = '';
  #ledSinceMs = Number.NEGATIVE_INFINITY;
  #ledUntilMs = Number.NEGATIVE_INFINITY;

  constructor(world: World) {
    this.#world = world;
  }

  ledBy(name: string, atMs: number): void {
    if (name !== this.#leader) this.#ledSinceMs = atMs;
    this.#leader = name;
    this.#ledUntilMs = atMs;
  }

  /** `excusedUntilMs`: when the last trouble ended. `isBlind`: the status may not be writable, or nothing known to write. */
  check(isPresent: (uid: string) => boolean, excusedUntilMs: number, isBlind: boolean): void {
    const nowMs = this.#world.clock.monotonicMs();
    for (const pod of this.#world.livingPods) {
      if (!this.#world.wants(pod) || isPresent(pod.uid)) {
        this.#absentSinceMs.delete(pod.uid);
        continue;
      }
      const sinceMs = this.#absentSinceMs.get(pod.uid) ?? nowMs;
      this.#absentSinceMs.set(pod.uid, sinceMs);
      const calmForMs = nowMs - Math.max(excusedUntilMs, sinceMs, this.#world.wantsSinceMs(pod));
      if (calmForMs > READY_FOR_MS)
        throw new Error(`I1: ${pod.name} is Ready and has had no key for ${nowMs - sinceMs} ms`);
      if (isBlind) this.#absentSinceMs.set(pod.uid, nowMs);
      else this.#judgeStatus(pod, nowMs - Math.max(sinceMs, this.#world.wantsSinceMs(pod)));
    }
  }

  #judgeStatus(pod: Truth, absentForMs: number): void {
    const { spec, api, startedAtMs, clock } = this.#world;
    const lateMs = TOLD_LATE_MS + (spec?.refreshIntervalSeconds ?? 0) * 1_000;
    // Nobody may have been there to say it; nor does anybody who heard of a leader last that is no more
    // (docs/adr/0003-who-speaks.md).
    if (absentForMs <= lateMs || clock.monotonicMs() - startedAtMs < lateMs) return;
    if (this.#world.replicas.every(({ operator }) => operator.voice === 'silent')) return;
    // What the leader before wrote last may have come after the new one's first word, and is put right only while it leads.
    if (this.#ledUntilMs - this.#ledSinceMs < LED_FOR_MS) return;
    for (const name of REGISTRATIONS) {
      if (name !== pod.app) continue;
      const status = asObject(api.get('ServiceRegistration', 'default', name)?.['status']);
      const ready = asList(status?.['conditions'])
        .map(asObject)
        .find((condition) => condition?.['type'] === 'Ready');
      if (ready?.['status'] === 'True')
        throw new Error(`I8: Ready=True is said of ${name}, and ${pod.name} has had no key for ${absentForMs} ms`);
    }
  }
}
