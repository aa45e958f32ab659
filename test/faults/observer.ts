// The campaign's side of the observer: each question goes to the process in `observer/observer-worker.ts`, which makes the
// pods, reads the stream and judges.

import { startWorker, type WorkerProcess } from '../../hack/control-plane/worker-process.ts';
import type { Judgement, Taken, Timeline, Violation } from './evidence.ts';
import type { Enlarging, Flapping } from './observer/cluster-questions.ts';
import type { Dooming, Judging, Making, Observing } from './observer/observer-worker.ts';

export class Observer {
  readonly #worker: WorkerProcess;

  private constructor(worker: WorkerProcess) {
    this.#worker = worker;
  }

  static async start(): Promise<Observer> {
    return new Observer(await startWorker(new URL('./observer/observer-worker.ts', import.meta.url)));
  }

  /** Waits for the bucket, which an operator makes. */
  open(observing: Observing): Promise<void> {
    return this.#worker.ask('open', observing);
  }

  /** Makes the pods and what others have in the bucket; resolves when every pod has its key. */
  make(making: Making): Promise<void> {
    return this.#worker.ask('make', making);
  }

  churn(on: boolean): Promise<void> {
    return this.#worker.ask('churn', on);
  }

  /** The process that holds the lock, by the stream's word. */
  holder(): Promise<number | undefined> {
    return this.#worker.ask('holder');
  }

  /** The first lock of another process than this one since then. */
  taken(notPid: number, sinceMs: number, deadlineMs = 30_000): Promise<Taken> {
    return this.#worker.ask('taken', { notPid, sinceMs, deadlineMs });
  }

  /** When every Ready pod's key had been written since then. */
  written(sinceMs: number, deadlineMs = 30_000): Promise<number> {
    return this.#worker.ask('written', { sinceMs, deadlineMs });
  }

  /** Live keys of Ready pods. */
  standing(): Promise<number> {
    return this.#worker.ask('standing');
  }

  /** Lets pods die; resolves with their UIDs when the API took it. */
  doom(which: Dooming['which'], how: Dooming['how'] = 'delete'): Promise<readonly string[]> {
    return this.#worker.ask('doom', { which, how });
  }

  /** Of the pods of a node that is about to be lost nobody can say any more what is true; resolves with their UIDs. */
  loseNode(node: string): Promise<readonly string[]> {
    return this.#worker.ask('loseNode', node);
  }

  /** What is shown of them counts again. */
  bringNodeBack(node: string): Promise<void> {
    return this.#worker.ask('bringNodeBack', node);
  }

  /** Makes as many pods Ready as there were at first. */
  replenish(pods: number): Promise<void> {
    return this.#worker.ask('replenish', pods);
  }

  /** Purges the bucket, or the subjects of the filter; resolves with the ms until all keys were back. */
  purge(filter: string | undefined, deadlineMs: number): Promise<number> {
    return this.#worker.ask('purge', { filter, deadlineMs });
  }

  /** Has the server expire every key at once; resolves with the ms until all were back. */
  expire(deadlineMs: number): Promise<number> {
    return this.#worker.ask('expire', { deadlineMs });
  }

  /** Others write over the keys of these services' pods, half of which die in the same moment; resolves with the keys. */
  overwrite(services: readonly string[]): Promise<readonly string[]> {
    return this.#worker.ask('overwrite', services);
  }

  /** Deletes all pods of these services. */
  killAll(services: readonly string[]): Promise<void> {
    return this.#worker.ask('killAll', services);
  }

  /** How many of the keys still say what others wrote. */
  untouched(keys: readonly string[]): Promise<number> {
    return this.#worker.ask('untouched', keys);
  }

  /** Others fill the bucket to its limit, and what becomes free, until `free`. */
  fill(): Promise<void> {
    return this.#worker.ask('fill');
  }

  free(): Promise<void> {
    return this.#worker.ask('free');
  }

  /** When the leader had written since then and every Ready pod had its key. */
  whole(sinceMs: number, deadlineMs = 30_000): Promise<number> {
    return this.#worker.ask('whole', { sinceMs, deadlineMs });
  }

  /** The longest time for which the lock was not renewed since then. */
  lockGap(sinceMs: number): Promise<number> {
    return this.#worker.ask('lockGap', { sinceMs });
  }

  /** Of each key that lapsed since then: how long after its last write. */
  lapseDelays(sinceMs: number): Promise<readonly number[]> {
    return this.#worker.ask('lapseDelays', sinceMs);
  }

  /** The server that leads the bucket's stream; undefined while none does. Rejects while nobody answers. */
  streamLeader(): Promise<string | undefined> {
    return this.#worker.ask('streamLeader');
  }

  /** When the last of their keys was UNHEALTHY or gone. */
  ended(uids: readonly string[], deadlineMs: number, gone = false): Promise<number> {
    return this.#worker.ask('ended', { uids, deadlineMs, gone });
  }

  /** Ends the churn, and returns what is not right 15 s after the last fault, or does not stay so. */
  settle(lastFaultMs: number): Promise<readonly Violation[]> {
    return this.#worker.ask('settle', { lastFaultMs });
  }

  judge(judging: Judging): Promise<Judgement> {
    return this.#worker.ask('judge', judging);
  }

  /** What came before is judged: only the last word of each subject is kept. */
  forget(beforeMs: number): Promise<void> {
    return this.#worker.ask('forget', beforeMs);
  }

  /** Ends the churn and whatever it began. */
  calm(): Promise<void> {
    return this.#worker.ask('calm');
  }

  /** When the registry was what the pods say. The churn must be at rest, as for the next two. */
  converged(deadlineMs: number): Promise<number> {
    return this.#worker.ask('converged', deadlineMs);
  }

  /** When every resource said Ready, with as many registered instances as there were Ready pods. */
  statusRight(deadlineMs: number): Promise<number> {
    return this.#worker.ask('statusRight', deadlineMs);
  }

  /** Further resources with so many pods in all; resolves when the pods are Ready. */
  enlarge(enlarging: Enlarging): Promise<void> {
    return this.#worker.ask('enlarge', enlarging);
  }

  /** Deletes all pods of these services, and their resources. */
  shrink(services: readonly string[]): Promise<void> {
    return this.#worker.ask('shrink', services);
  }

  /** All pods of these services are made Ready, or not Ready. */
  flap(flapping: Flapping): Promise<void> {
    return this.#worker.ask('flap', flapping);
  }

  /** The resources of these services are about to be deleted; resolves with the UIDs of their pods. */
  leaving(services: readonly string[]): Promise<readonly string[]> {
    return this.#worker.ask('leaving', services);
  }

  /** They are gone. */
  withdrawn(services: readonly string[]): Promise<void> {
    return this.#worker.ask('withdrawn', services);
  }

  /** Makes them again. */
  restore(services: readonly string[]): Promise<void> {
    return this.#worker.ask('restore', services);
  }

  /** How many keys of ours were last written with which TTL. */
  ttls(): Promise<Readonly<Record<string, number>>> {
    return this.#worker.ask('ttls');
  }

  /** So many pods listen no longer, and live. */
  mute(pods: number): Promise<readonly string[]> {
    return this.#worker.ask('mute', pods);
  }

  /** These die, or so many that listen, while the API server is away. */
  dieUnseen(which: readonly string[] | number): Promise<readonly string[]> {
    return this.#worker.ask('dieUnseen', which);
  }

  /** Deletes those that died unseen. */
  bury(uids: readonly string[]): Promise<void> {
    return this.#worker.ask('bury', uids);
  }

  timeline(fromMs: number, toMs: number): Promise<Timeline> {
    return this.#worker.ask('timeline', { fromMs, toMs });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#worker.end();
  }
}
