// Judges a world in which nothing happens any more: nothing but refreshes is written (I9), no more of them than there must
// be, and the API server is asked for little (I12).

import type { World } from './world.ts';

type Told = { readonly lastHeartbeat: string };

/** I12 */
const REQUESTS_PER_SECOND_MAX = 20;
const WRITES_SHARE_MAX = 1.2;

export class QuietJudge {
  #begun: { readonly atMs: number; readonly requests: number } | undefined;
  readonly #writes = new Map<string, number>();

  begin(world: World): void {
    this.#begun = { atMs: world.clock.monotonicMs(), requests: requestsOf(world) };
    this.#writes.clear();
  }

  /** `before`: what stood there; undefined: nothing of ours. */
  written(subject: string, before: Told | undefined, now: Told): void {
    if (this.#begun === undefined) return;
    const same =
      before !== undefined && JSON.stringify({ ...before, lastHeartbeat: now.lastHeartbeat }) === JSON.stringify(now);
    if (!same)
      throw new Error(
        `I9: ${subject} was changed although nothing happened: ${JSON.stringify(before)} to ${JSON.stringify(now)}`,
      );
    this.#writes.set(subject, (this.#writes.get(subject) ?? 0) + 1);
  }

  end(world: World): void {
    const begun = this.#begun;
    if (begun === undefined) return;
    this.#begun = undefined;
    const seconds = (world.clock.monotonicMs() - begun.atMs) / 1_000;
    const intervalSeconds = world.spec?.refreshIntervalSeconds ?? 1;
    for (const [subject, writes] of this.#writes) {
      if (writes > 1 + (WRITES_SHARE_MAX * seconds) / intervalSeconds)
        throw new Error(`I12: ${subject} was refreshed ${writes} times in ${seconds} s`);
    }
    const requests = requestsOf(world) - begun.requests;
    if (requests > REQUESTS_PER_SECOND_MAX * seconds) throw new Error(`I12: ${requests} API requests in ${seconds} s`);
  }
}

const requestsOf = (world: World): number => [...world.api.requests.values()].reduce((sum, count) => sum + count, 0);
