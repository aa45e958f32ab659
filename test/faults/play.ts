// What a case has in its hands while it runs: the stage, the record of its faults, and the moves that many cases make.

import { waitFor } from '../../hack/control-plane/wait.ts';
import type { OperatorProcess } from '../support/operator-process.ts';
import type { Excuse, Fault, Judgement, Taken } from './evidence.ts';
import { nowMs, pause } from './monotonic.ts';
import type { Observer } from './observer.ts';
import type { Replica, Stage } from './stage.ts';

export type Pair = { readonly leader: Replica; readonly standby: Replica };

export type Pace = { readonly short: boolean; readonly minutes: number };

export class Play {
  readonly stage: Stage;
  /** Do less: this is the short selection. */
  readonly short: boolean;
  /** For a case that has no end of its own. */
  readonly minutes: number;
  readonly faults: Fault[];
  /** Spans that are judged already, and until when that was. */
  readonly judged: Judgement[] = [];
  judgedToMs = nowMs();
  readonly startedMs = nowMs();
  readonly #say: (line: string) => void;

  constructor(stage: Stage, { short, minutes }: Pace, say: (line: string) => void, faults: Fault[] = []) {
    this.stage = stage;
    this.short = short;
    this.minutes = minutes;
    this.faults = faults;
    this.#say = say;
  }

  /** For another case, in its short form, as a part of this one. */
  part(): Play {
    return new Play(this.stage, { short: true, minutes: this.minutes }, this.#say, this.faults);
  }

  /** Judges what has happened since the beginning or the last time, and forgets the record of it: there is room for an hour. */
  async judgeSoFar(): Promise<Judgement> {
    const toMs = nowMs();
    const judgement = await this.observer.judge({ fromMs: this.judgedToMs, toMs, faults: this.faults });
    this.judged.push(judgement);
    this.judgedToMs = toMs;
    await this.observer.forget(toMs);
    return judgement;
  }

  get observer(): Observer {
    return this.stage.observer;
  }

  get operators(): readonly OperatorProcess[] {
    return this.stage.replicas.map(({ operator }) => operator);
  }

  get lastFaultMs(): number {
    return Math.max(this.startedMs, ...this.faults.map(({ toMs }) => toMs));
  }

  /** Where the case is, for whoever waits. */
  progress(line: string): void {
    this.#say(line);
  }

  /** Records the fault while `work` lasts, with what it excuses meanwhile. */
  async fault<T>(what: string, excuse: Excuse, work: () => Promise<T>): Promise<T> {
    const fault: Fault = { what, excuse, fromMs: nowMs(), toMs: nowMs() };
    this.faults.push(fault);
    this.#say(what);
    try {
      return await work();
    } finally {
      fault.toMs = nowMs();
    }
  }

  /** A fault of a moment: what it did is done. */
  blow<T>(what: string, work: () => Promise<T> | T): Promise<T> {
    return this.fault(what, 'none', async () => work());
  }

  /** The replica that leads by the stream's word, and another that is ready to. */
  leaderAndStandby(deadlineMs = 30_000): Promise<Pair> {
    return waitFor(
      'a leader and a ready standby',
      async () => {
        const pid = await this.observer.holder();
        const running = this.stage.replicas.filter(({ operator }) => operator.process.running);
        const leader = running.find(({ operator }) => operator.pid === pid);
        const standby = running.find((replica) => replica !== leader);
        if (leader === undefined || standby === undefined) return undefined;
        return (await standby.operator.readyz()).status === 200 && { leader, standby };
      },
      { deadlineMs, intervalMs: 50 },
    );
  }

  /** Whoever leads instead of that process since then. */
  taken(notPid: number, sinceMs: number): Promise<Taken> {
    return this.observer.taken(notPid, sinceMs);
  }

  pause(ms: number): Promise<void> {
    return pause(ms);
  }

  now(): number {
    return nowMs();
  }
}
