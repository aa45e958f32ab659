// What is true of the pods that the campaign makes: when it asked for a change, and when the API showed it to a watch of
// the campaign's own. In between nobody can say which of both holds, so nobody is accused of either. Knows no registry.

/**
 *   coming --shown Ready--> ready --asked to go--> leaving --shown not Ready, or gone--> dead
 *                             ^                                                            |
 *                             +----------shown Ready-------- coming <--asked to be back----+
 */
export type PodState = 'coming' | 'ready' | 'leaving' | 'dead';

export type Step = { readonly atMs: number; readonly state: PodState };

/** What the campaign made. */
export type MadePod = {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly service: string;
  readonly group: string | null;
  readonly node: string;
};

export type KnownPod = MadePod & {
  /** The object is gone from the API: it will never be back. */
  gone: boolean;
  ip: string | undefined;
  readonly steps: Step[];
  /** The versions it was given, oldest first. */
  readonly versions: { readonly version: string; readonly askedAtMs: number; shownAtMs: number | undefined }[];
  /** An ask whose effect has not been shown, and which did not fail. */
  pending: boolean;
  /** Nothing registers it any more, Ready or not. */
  withdrawn: boolean;
};

/** What a watch or a list shows of a pod. */
export type ShownPod = {
  readonly uid: string;
  readonly ready: boolean;
  /** It is being deleted, or was told to be not Ready: what is Ready now will not stay so. */
  readonly doomed: boolean;
  readonly version: string;
  readonly ip: string | undefined;
};

export type Spell = { readonly fromMs: number; readonly toMs: number };

export class PodTruth {
  readonly pods = new Map<string, KnownPod>();
  /** A watch may be faster than the answer to the request that made the pod. */
  readonly #early = new Map<string, { readonly atMs: number; readonly shown: ShownPod }[]>();

  made(pod: MadePod, version: string, atMs: number): KnownPod {
    const versions = [{ version, askedAtMs: atMs, shownAtMs: atMs }];
    const steps: Step[] = [{ atMs, state: 'coming' }];
    const known: KnownPod = { ...pod, gone: false, ip: undefined, steps, versions, pending: false, withdrawn: false };
    this.pods.set(pod.uid, known);
    for (const { atMs: earlierMs, shown } of this.#early.get(pod.uid) ?? []) this.shown(shown, earlierMs);
    this.#early.delete(pod.uid);
    return known;
  }

  /** Whether the API ever had a pod of this UID. */
  existed(uid: string): boolean {
    return this.pods.has(uid) || this.#early.has(uid);
  }

  askedToGo(pod: KnownPod, atMs: number): void {
    pod.pending = true;
    if (stateOf(pod) !== 'dead') pod.steps.push({ atMs, state: 'leaving' });
  }

  askedBack(pod: KnownPod, atMs: number): void {
    pod.pending = true;
    pod.steps.push({ atMs, state: 'coming' });
  }

  /** What registered it is gone, by the API's word. */
  isWithdrawn(pod: KnownPod, atMs: number): void {
    pod.withdrawn = true;
    pod.pending = false;
    if (!pod.gone && stateOf(pod) !== 'dead') pod.steps.push({ atMs, state: 'dead' });
  }

  /** It is registered again, and Ready as it was all the while. */
  isRestored(pod: KnownPod, atMs: number): void {
    pod.withdrawn = false;
    if (!pod.gone) pod.steps.push({ atMs, state: 'ready' });
  }

  askedVersion(pod: KnownPod, version: string, atMs: number): void {
    pod.versions.push({ version, askedAtMs: atMs, shownAtMs: undefined });
  }

  /** The request failed, so it may have had its effect or not: what the API shows next decides. */
  doubted(pod: KnownPod): void {
    pod.pending = false;
  }

  shown(shown: ShownPod, atMs: number): void {
    const pod = this.pods.get(shown.uid);
    if (pod === undefined) {
      const earlier = this.#early.get(shown.uid);
      if (earlier === undefined) this.#early.set(shown.uid, [{ atMs, shown }]);
      else earlier.push({ atMs, shown });
      return;
    }
    pod.ip = shown.ip ?? pod.ip;
    const given = pod.versions.find(({ version, shownAtMs }) => version === shown.version && shownAtMs === undefined);
    if (given !== undefined) given.shownAtMs = atMs;
    if (pod.withdrawn) return;
    const state = stateOf(pod);
    if (shown.ready && !shown.doomed) {
      if (state === 'ready' || (state === 'leaving' && pod.pending)) return;
      pod.pending = false;
      pod.steps.push({ atMs, state: 'ready' });
    } else if (!shown.ready || shown.doomed) {
      // Told to be not Ready, but still so: on its way.
      if (shown.ready && state !== 'ready') return;
      if (state === 'dead' || state === 'coming') return;
      pod.pending = false;
      pod.steps.push({ atMs, state: shown.ready ? 'leaving' : 'dead' });
    }
  }

  /** The API has no such pod any more. */
  disappeared(uid: string, atMs: number): void {
    const pod = this.pods.get(uid);
    if (pod === undefined) return;
    pod.gone = true;
    pod.pending = false;
    if (stateOf(pod) !== 'dead') pod.steps.push({ atMs, state: 'dead' });
  }
}

export const stateOf = ({ steps }: KnownPod): PodState => steps.at(-1)?.state ?? 'coming';

/** The times in which the pod was Ready for certain; the last one may be open, and then ends with `untilMs`. */
export const readySpells = ({ steps }: KnownPod, untilMs: number): readonly Spell[] =>
  steps.flatMap(({ atMs, state }, index) =>
    state === 'ready' ? [{ fromMs: atMs, toMs: steps[index + 1]?.atMs ?? untilMs }] : [],
  );

/** The times in which it was not Ready for certain, after it had been. */
export const deadSpells = ({ steps }: KnownPod, untilMs: number): readonly Spell[] =>
  steps.flatMap(({ atMs, state }, index) =>
    state === 'dead' ? [{ fromMs: atMs, toMs: steps[index + 1]?.atMs ?? untilMs }] : [],
  );

/** Ready for certain throughout. */
export const wasReady = (pod: KnownPod, fromMs: number, toMs: number): boolean =>
  readySpells(pod, Number.POSITIVE_INFINITY).some((spell) => spell.fromMs <= fromMs && toMs <= spell.toMs);

/** Not Ready for certain throughout. */
export const wasDead = (pod: KnownPod, fromMs: number, toMs: number): boolean =>
  deadSpells(pod, Number.POSITIVE_INFINITY).some((spell) => spell.fromMs <= fromMs && toMs <= spell.toMs);
