// Judges sticky groups from the raw log of the stream: I5 (no prefix with two ACTIVE of a group, none for 2 s at most
// while a Ready member exists), terms that grow with every promotion, and no flip-back. Knows nothing of how it is done.

import type { KeyForm } from '../../../src/domain/names.ts';
import type { Truth, World } from './world.ts';

/** I5 says 2 s; the judge looks every 0.5 s. */
const WITHOUT_MS = 2_500;
/** A pod counts as Ready, and a setting as in force, for all to see after this long. */
const SETTLED_MS = 10_000;

export type Said = {
  readonly subject: string;
  readonly form: KeyForm;
  readonly uid: string;
  readonly status: string;
  readonly stickyActiveGroup: string | null;
  readonly stickyTerm: number | undefined;
};

type Group = {
  readonly name: string;
  active: Said | undefined;
  /** Of the last promotion. */
  term: number;
  /** When it last had an ACTIVE member. */
  untilMs: number;
  /** Its ACTIVE key was lost to something that is noticed with the next refresh. */
  lost: boolean;
};

export class StickyJudge {
  readonly #world: World;
  readonly #groups = new Map<string, Group>();

  constructor(world: World) {
    this.#world = world;
  }

  /** A value of ours was stored. */
  said(said: Said, atMs: number, calm: boolean, isRestored = false): void {
    const before = this.#activeUnder(said.subject);
    const isActive = said.status === 'ACTIVE' && said.stickyActiveGroup !== null;
    if (!isActive && said.stickyTerm !== undefined) throw new Error(`I5: ${said.subject} is not ACTIVE and has a term`);
    if (before !== undefined && (!isActive || said.stickyActiveGroup !== before.active?.stickyActiveGroup)) {
      const pod = before.active === undefined ? undefined : this.#world.pods.get(before.active.uid);
      if (said.status === 'STANDBY' && calm && pod !== undefined && this.#isSettled(pod, atMs))
        throw new Error(`I5: ${pod.name} was Ready and lost its role`);
      end(before, atMs, false);
    }
    if (!isActive) return;
    const group = this.#group(said.stickyActiveGroup ?? '', said.form);
    for (const { active } of this.#forms(said.stickyActiveGroup ?? '')) {
      if (active === undefined || active.subject === said.subject) continue;
      if (active.uid !== said.uid || active.form === said.form)
        throw new Error(`I5: ${said.subject} is ACTIVE beside ${active.subject}`);
    }
    const { active } = group;
    const term = said.stickyTerm ?? 0;
    const isPromotion = active?.uid !== said.uid;
    if (!isRestored && (isPromotion ? term <= group.term : term !== group.term))
      throw new Error(`I5: ${said.subject} has term ${term} after ${group.term}`);
    Object.assign(group, { active: said, term, untilMs: atMs, lost: false });
  }

  /** A subject holds nothing of ours any more. `by`: us, or something that we are not told of. */
  gone(subject: string, atMs: number, by: 'us' | 'others'): void {
    const group = this.#activeUnder(subject);
    if (group !== undefined) end(group, atMs, by === 'others');
  }

  /** Sequences begin anew, and terms with them. */
  remade(): void {
    for (const group of this.#groups.values()) group.term = 0;
  }

  /** Sequences go on from an earlier one: what stands has its term, what is lost has none. */
  forgot(): void {
    for (const group of this.#groups.values()) group.term = group.active?.stickyTerm ?? 0;
  }

  /** `sinceMs`: when the last trouble ended. */
  check(sinceMs: number): void {
    const nowMs = this.#world.clock.monotonicMs();
    for (const group of this.#groups.values()) if (group.active !== undefined) group.untilMs = nowMs;
    const { spec } = this.#world;
    if (spec?.stickyActiveGroup === undefined) return;
    const forms = this.#forms(spec.stickyActiveGroup);
    const ready = this.#world.livingPods.filter((pod) => this.#world.wants(pod));
    if (forms.some(({ active }) => active !== undefined) || ready.length === 0) return;
    const untilMs = Math.max(...forms.map((form) => form.untilMs));
    const lost = forms.some((form) => form.lost);
    const readySinceMs = Math.min(...ready.map((pod) => this.#world.wantsSinceMs(pod)));
    const patienceMs = WITHOUT_MS + (lost ? spec.refreshIntervalSeconds * 1_000 : 0);
    const withoutMs = nowMs - Math.max(untilMs, sinceMs, readySinceMs);
    if (withoutMs > patienceMs) throw new Error(`I5: nobody is ACTIVE for ${withoutMs} ms, ${ready.length} are Ready`);
  }

  #isSettled(pod: Truth, atMs: number): boolean {
    return this.#world.wants(pod) && atMs - this.#world.wantsSinceMs(pod) > SETTLED_MS;
  }

  #activeUnder(subject: string): Group | undefined {
    return [...this.#groups.values()].find(({ active }) => active?.subject === subject);
  }

  #forms(name: string): readonly Group[] {
    return [...this.#groups.values()].filter((group) => group.name === name);
  }

  #group(name: string, form: KeyForm): Group {
    const key = `${form} ${name}`;
    let group = this.#groups.get(key);
    if (group === undefined) {
      group = { name, active: undefined, term: 0, untilMs: Number.NEGATIVE_INFINITY, lost: false };
      this.#groups.set(key, group);
    }
    return group;
  }
}

const end = (group: Group, atMs: number, lost: boolean): void => {
  group.active = undefined;
  group.untilMs = atMs;
  group.lost = lost;
};
