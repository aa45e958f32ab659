// Which pods still answer at a TCP port of theirs, for the time when the API server cannot say. What follows for their
// keys is `outage.ts`. Every replica probes, so that one that takes over knows as much.
//
//   the view is  | probed                                              | a failure means
//   -------------+-----------------------------------------------------+---------------------------------------------
//   fresh        | pods new to us, and each again after five minutes   | not to be judged by probes (a NetworkPolicy,
//   in doubt     | all that may be judged, once                        | a mesh, a port that nobody listens on)
//   blind        | all that may be judged, each 5 s                    | the second in a row: gone
//
// Where more than half fail together, the fault is taken to be ours: that round says nothing of anybody.

import type { Clock } from '../clock.ts';
import type { ObjectKey, PodView } from '../domain/pod.ts';
import { objectKey } from '../domain/pod.ts';
import type { Log } from '../log.ts';
import type { Row } from '../table/row.ts';
import type { ProbeOutcome, Prober, ProbeTarget } from './prober.ts';

export type Sight = 'fresh' | 'doubtful' | 'blind';

/** `answers`: as of its last probe, or but for one. `gone`: it answered once and does no more. `unknown`: not probed. */
export type Sign = 'answers' | 'gone' | 'unknown';

export type PodProbesContext = {
  readonly rows: () => Iterable<Row>;
  readonly podOf: (key: ObjectKey) => PodView | undefined;
  readonly sight: () => Sight;
  readonly prober: Prober;
  readonly clock: Clock;
  readonly log: Log;
  readonly onProbe: (outcome: ProbeOutcome) => void;
};

const LOOK_EVERY_MS = 1_000;
const ROUND_EVERY_MS = 5_000;
/** A pod that is known is asked again this rarely while the view is fresh: its answer counts for minutes, not for ever. */
const AGAIN_AFTER_MS = 300_000;
/** A round is spread, so that nobody waits for it: opening a thousand sockets at once blocks the event loop for 0.1 s. */
const FRESH_ROUND_TAKES_MS = 4_000;
/** The verdicts of a round wait for its end. */
const JUDGING_ROUND_TAKES_MS = 2_000;
const STEP_MS = 20;
/** 2,000 a second, a fifth of a core: of more pods a round takes longer, for refreshes go first. */
const PROBES_PER_STEP_MAX = 40;
/** Sockets open at a time. */
const PROBES_IN_FLIGHT_MAX = 256;
/** A probe costs about 0.1 ms of CPU: while nothing depends on them they take at most 2 % of a core. */
const PROBES_PER_FRESH_ROUND_MAX = 1_000;
/** Rows looked at between two breaths. */
const SLICE = 2_000;
const FAILURES_OF_THE_GONE = 2;

type Standing = {
  readonly target: ProbeTarget;
  /** Answered while the view was fresh: only who did is judged. */
  answeredInSight: boolean;
  failures: number;
  sign: Sign;
  askedAtMs: number;
};

type Asked = { readonly standing: Standing; readonly outcome: ProbeOutcome };

export class PodProbes {
  readonly #context: PodProbesContext;
  /** By the pods' UIDs. */
  readonly #standings = new Map<string, Standing>();
  #sight: Sight = 'fresh';
  #roundAtMs = Number.NEGATIVE_INFINITY;
  #braked = false;

  constructor(context: PodProbesContext) {
    this.#context = context;
  }

  /** What probes say of a pod's incarnation; worth asking only while the view is blind. */
  signOf(uid: string): Sign {
    return this.#standings.get(uid)?.sign ?? 'unknown';
  }

  /** Pods that are judged by probes once the view is blind. */
  get judged(): number {
    let judged = 0;
    for (const { answeredInSight } of this.#standings.values()) if (answeredInSight) judged += 1;
    return judged;
  }

  /** The last round failed for so many that it was not believed. */
  get braked(): boolean {
    return this.#braked;
  }

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, sight } = this.#context;
    while (!signal.aborted) {
      const seen = sight();
      const changed = seen !== this.#sight;
      this.#sight = seen;
      if (changed && seen === 'fresh') this.#forgive();
      const due = clock.monotonicMs() - this.#roundAtMs >= ROUND_EVERY_MS;
      if (changed || (due && seen !== 'doubtful')) {
        this.#roundAtMs = clock.monotonicMs();
        if (seen === 'fresh') await this.#meet(signal);
        else await this.#judge(seen, signal);
      }
      const dueInMs = this.#roundAtMs + ROUND_EVERY_MS - clock.monotonicMs();
      await clock.sleep(dueInMs > 0 ? Math.min(dueInMs, LOOK_EVERY_MS) : LOOK_EVERY_MS, signal);
    }
  }

  /** What was said of pods while nobody could see them counts no more. */
  #forgive(): void {
    this.#braked = false;
    for (const standing of this.#standings.values()) {
      standing.failures = 0;
      standing.sign = standing.answeredInSight ? 'answers' : 'unknown';
    }
  }

  /** Asks the pods that were never asked, and some of the others. Those that are gone are forgotten. */
  async #meet(signal: AbortSignal): Promise<void> {
    const nowMs = this.#context.clock.monotonicMs();
    const gone = new Set(this.#standings.keys());
    const again: Standing[] = [];
    let looked = 0;
    for (const row of this.#context.rows()) {
      looked += 1;
      if (looked % SLICE === 0) await this.#context.clock.yield();
      const { uid } = row.wish.pod;
      const before = this.#standings.get(uid);
      const isMet = before !== undefined && !gone.has(uid);
      const target = isMet ? undefined : targetOf(row, this.#context.podOf);
      if (target === undefined) continue;
      gone.delete(uid);
      if (before?.target.host === target.host && before.target.port === target.port) {
        // Spread over time by the key's place in its interval, so that no burst comes back as one.
        if (nowMs - before.askedAtMs >= AGAIN_AFTER_MS * (0.75 + row.fraction / 2)) again.push(before);
      } else this.#standings.set(uid, newStanding(target));
    }
    for (const uid of gone) this.#standings.delete(uid);
    const strangers = [...this.#standings.values()].filter(({ askedAtMs }) => askedAtMs === NEVER);
    const some = [...strangers, ...again].slice(0, PROBES_PER_FRESH_ROUND_MAX);
    const asked = await this.#askAll(some, FRESH_ROUND_TAKES_MS, signal);
    for (const { standing, outcome } of asked) qualify(standing, outcome);
  }

  /** One round among those that may be judged. */
  async #judge(sight: Sight, signal: AbortSignal): Promise<void> {
    const judged = [...this.#standings.values()].filter(({ answeredInSight }) => answeredInSight);
    const asked = await this.#askAll(judged, JUDGING_ROUND_TAKES_MS, signal);
    // Those known to be gone are asked too, and may come back, but are no sign of a fault of ours.
    const counted = asked.filter(({ standing, outcome }) => standing.sign !== 'gone' && outcome !== 'impossible');
    const failed = counted.filter(({ outcome }) => outcome === 'failed').length;
    const braked = failed * 2 > counted.length;
    if (braked && !this.#braked) {
      this.#context.log.warn({ failed, of: counted.length }, 'so many probes fail together that they are not believed');
    }
    this.#braked = braked;
    for (const { standing, outcome } of asked) {
      if (outcome === 'answered') answered(standing);
      else if (standing.sign === 'gone') continue;
      // Of a pod that cannot be asked nothing is known: it is held like those that have no port.
      else if (outcome === 'impossible' || braked) doubt(standing);
      else if (sight === 'doubtful') qualify(standing, outcome);
      else fail(standing);
    }
  }

  /** Ends early when the view becomes better or worse: another round is due then. */
  async #askAll(standings: readonly Standing[], withinMs: number, signal: AbortSignal): Promise<readonly Asked[]> {
    const { prober, clock, onProbe, sight } = this.#context;
    const beginMs = clock.monotonicMs();
    const perStep = Math.min(PROBES_PER_STEP_MAX, Math.ceil((standings.length * STEP_MS) / withinMs));
    const asked: Asked[] = [];
    const left = standings.entries();
    const work = async () => {
      for (const [number, standing] of left) {
        const waitMs = beginMs + Math.trunc(number / perStep) * STEP_MS - clock.monotonicMs();
        if (waitMs > 0) await clock.sleep(waitMs, signal);
        if (signal.aborted || sight() !== this.#sight) return;
        standing.askedAtMs = clock.monotonicMs();
        const outcome = await prober.probe(standing.target, signal);
        onProbe(outcome);
        asked.push({ standing, outcome });
      }
    };
    await Promise.all(Array.from({ length: Math.min(PROBES_IN_FLIGHT_MAX, standings.length) }, work));
    return asked;
  }
}

const NEVER = Number.NEGATIVE_INFINITY;

const newStanding = (target: ProbeTarget): Standing => ({
  target,
  answeredInSight: false,
  failures: 0,
  sign: 'unknown',
  askedAtMs: NEVER,
});

const answered = (standing: Standing): void => {
  standing.failures = 0;
  standing.sign = 'answers';
};

const fail = (standing: Standing): void => {
  standing.failures += 1;
  if (standing.failures >= FAILURES_OF_THE_GONE) standing.sign = 'gone';
};

const doubt = (standing: Standing): void => {
  standing.failures = 0;
  standing.sign = 'unknown';
};

const qualify = (standing: Standing, outcome: ProbeOutcome): void => {
  if (outcome === 'impossible') return;
  standing.answeredInSight = outcome === 'answered';
  standing.failures = 0;
  standing.sign = standing.answeredInSight ? 'answers' : 'unknown';
};

/** The pod's own address and the port that its key shows, if one of its containers declares it. */
const targetOf = ({ wish, tenure }: Row, podOf: PodProbesContext['podOf']): ProbeTarget | undefined => {
  if (wish.state.kind !== 'live' || tenure !== 'current' || wish.apiOutage.mode !== 'Probe') return undefined;
  const port = wish.content.metadata['port'];
  if (typeof port !== 'number') return undefined;
  const { namespace, name, uid } = wish.pod;
  const pod = podOf(objectKey(namespace, name));
  if (pod?.ip === undefined || pod.uid !== uid) return undefined;
  const isDeclared = pod.containers.some(({ ports }) => ports.some((declared) => declared.port === port));
  return isDeclared ? { host: pod.ip, port } : undefined;
};
