// Judges readiness gates by the truth about pods and what the stream ever acknowledged: none opens before its pod is
// registered, unless the registry is away for long; none closes again; none stays closed when all is well.

import type { Json } from '../../support/fake-api-store.ts';
import { GATE_TIMEOUT_MS, type World } from './world.ts';

type Outage = { readonly fromMs: number; readonly untilMs: number };

export class GateJudge {
  readonly #world: World;
  readonly #opened = new Set<string>();
  /** Pods as they were when last looked at: what is stored is never changed in place. */
  readonly #looked = new Map<string, Json>();
  /** UIDs of the pods whose key was ever ACTIVE. */
  readonly registered = new Set<string>();

  constructor(world: World) {
    this.#world = world;
  }

  check(outages: readonly Outage[]): void {
    for (const pod of this.#world.livingPods) {
      const stored = this.#world.storedPod(pod);
      if (stored !== undefined && this.#looked.get(pod.uid) === stored) continue;
      if (stored !== undefined) this.#looked.set(pod.uid, stored);
      const isOpen = this.#world.gateOf(pod)?.['status'] === 'True';
      if (isOpen && !pod.gated) throw new Error(`gate: ${pod.name} has a condition that it never asked for`);
      if (this.#opened.has(pod.uid) && !isOpen) throw new Error(`gate: that of ${pod.name} was closed again`);
      if (!isOpen || this.#opened.has(pod.uid)) continue;
      this.#opened.add(pod.uid);
      if (!this.registered.has(pod.uid) && !this.#isExcused(outages)) {
        throw new Error(`gate: that of ${pod.name} opened, and it was never registered`);
      }
    }
  }

  checkConverged(): void {
    for (const pod of this.#world.livingPods) {
      if (!pod.gated || !this.#world.wants(pod) || this.#opened.has(pod.uid)) continue;
      throw new Error(`gate: that of ${pod.name} stays closed: ${JSON.stringify(this.#world.gateOf(pod))}`);
    }
  }

  /** Out of reach for some replica for most of the time limit. */
  #isExcused(outages: readonly Outage[]): boolean {
    const nowMs = this.#world.clock.monotonicMs();
    const awayMs = outages
      .map(({ fromMs, untilMs }) => Math.min(untilMs, nowMs) - Math.max(fromMs, nowMs - 2 * GATE_TIMEOUT_MS))
      .reduce((sum, ms) => sum + Math.max(0, ms), 0);
    return awayMs > GATE_TIMEOUT_MS / 2;
  }
}
