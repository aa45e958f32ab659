// Plays the kubelets of a world's nodes: each renews its lease every ten seconds, at a place of its own, until it falls
// silent or nothing can be stored. And the node controller, when a test says so. What it did is the truth about nodes.

import { formatTimestamp, UTC } from '../../../src/domain/timestamp.ts';
import type { FakeApi } from '../../support/fake-api.ts';
import type { FakeClock } from '../../support/fake-clock.ts';

const RENEWAL_MS = 10_000;
const LEASES = 'kube-node-lease';

type Kubelet = { readonly name: string; silent: boolean; changedAtMs: number; timer: (() => void) | undefined };

export class Kubelets {
  readonly names: readonly string[];
  /** Nothing is stored: no lease moves, and nobody is to blame. */
  stalled = false;
  readonly #api: FakeApi;
  readonly #clock: FakeClock;
  readonly #kubelets: ReadonlyMap<string, Kubelet>;

  constructor(api: FakeApi, clock: FakeClock, count: number) {
    this.#api = api;
    this.#clock = clock;
    this.names = Array.from({ length: count }, (_, i) => nodeName(i));
    const changedAtMs = clock.monotonicMs();
    this.#kubelets = new Map(
      this.names.map((name) => [name, { name, silent: false, changedAtMs, timer: undefined }] as const),
    );
    for (const [index, kubelet] of [...this.#kubelets.values()].entries()) {
      this.say(kubelet.name, 'True');
      this.#renew(kubelet);
      this.#later(kubelet, (RENEWAL_MS * (index + 1)) / count);
    }
  }

  silence(name: string): void {
    const kubelet = this.#of(name);
    if (!kubelet.silent) kubelet.changedAtMs = this.#clock.monotonicMs();
    kubelet.silent = true;
  }

  /** It renews its lease at once. */
  speak(name: string): void {
    const kubelet = this.#of(name);
    if (kubelet.silent) kubelet.changedAtMs = this.#clock.monotonicMs();
    kubelet.silent = false;
    this.#renew(kubelet);
  }

  isSilent(name: string): boolean {
    return this.#of(name).silent;
  }

  /** Fake monotonic ms when it fell silent, or was heard again. */
  changedAtMs(name: string): number {
    return this.#of(name).changedAtMs;
  }

  /** What the node's Ready condition says: Unknown is the node controller's word. */
  say(name: string, ready: 'True' | 'Unknown'): void {
    const lastTransitionTime = formatTimestamp(this.#clock.wallMs(), UTC);
    const conditions = [{ type: 'Ready', status: ready, lastTransitionTime }];
    this.#api.put('Node', { metadata: { name }, status: { conditions } });
  }

  end(): void {
    for (const { timer } of this.#kubelets.values()) timer?.();
  }

  #of(name: string): Kubelet {
    const kubelet = this.#kubelets.get(name);
    if (kubelet === undefined) throw new Error(`there is no node ${name}`);
    return kubelet;
  }

  #renew({ name, silent }: Kubelet): void {
    if (silent || this.stalled) return;
    // By a clock that is nobody else's.
    const renewTime = formatTimestamp(this.#clock.monotonicMs() + 1_000_000, UTC);
    this.#api.put('Lease', { metadata: { name, namespace: LEASES }, spec: { holderIdentity: name, renewTime } });
  }

  #later(kubelet: Kubelet, ms: number): void {
    kubelet.timer = this.#clock.after(ms, () => {
      this.#renew(kubelet);
      this.#later(kubelet, RENEWAL_MS);
    });
  }
}

export const nodeName = (index: number): string => `node-${index}`;
