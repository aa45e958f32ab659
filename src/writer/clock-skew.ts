// How far the NATS server's clock is off ours, as people are told: whole seconds, and none below a threshold. Keys lapse by
// the server's clock alone, so no decision hangs on it; but readers compare heartbeats, which are by ours, with theirs.

/** Less than readers notice, more than any measurement is off. */
const TOLD_FROM_MS = 2_000;
/** What is told stays so until it is off by more than this, so that a status does not change with every measurement. */
const STEADY_MS = 1_000;

export class ClockSkew {
  #offsetMs = 0;
  #toldSeconds = 0;

  /** As last measured: positive where the server is ahead. */
  get offsetMs(): number {
    return this.#offsetMs;
  }

  /** 0: none worth telling. */
  get seconds(): number {
    return this.#toldSeconds;
  }

  /** Whether what is told changed. */
  measured(offsetMs: number): boolean {
    this.#offsetMs = offsetMs;
    const isSteady = this.#toldSeconds !== 0 && Math.abs(offsetMs - this.#toldSeconds * 1_000) <= STEADY_MS;
    if (isSteady) return false;
    const before = this.#toldSeconds;
    this.#toldSeconds = Math.abs(offsetMs) <= TOLD_FROM_MS ? 0 : Math.round(offsetMs / 1_000);
    return this.#toldSeconds !== before;
  }
}
