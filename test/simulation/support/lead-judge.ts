// Judges who leads when a replica is broken for good: not for long the broken one beside one that is well. While it does,
// it is excused that what happens is not noticed.

import { BUCKET, OPERATOR_ID, type World } from './world.ts';

export const LOCK = `$ROLLCALL.${BUCKET}.${OPERATOR_ID}.lock`;

/** F11: of a view whose one source is silent; and looks. */
const SILENT_SOURCE_MS = 61_000;
/** A leader that hears nothing yields within 20 s to one that does; a view ages for 15 s of them. */
const BROKEN_LEADS_MS = 25_000;
const BLIND_HAND_OVER_MS = 3_000;
type Spell = { readonly fromMs: number; untilMs: number; readonly broken?: true };

/** What the judge of the world excuses by. */
type Excuses = { disturbedUntilMs: number; readonly outages: readonly Spell[]; readonly blind: Spell[] };

export class LeadJudge {
  /** A lock that was stored before the server's clock was set back stands for so much longer. */
  locksLapseFromMs = Number.NEGATIVE_INFINITY;
  readonly #world: World;
  #brokenLedSinceMs: number | undefined;

  constructor(world: World) {
    this.#world = world;
  }

  /** One that is broken for good may lead until one that is well has announced itself and the lock has passed. */
  check(judge: Excuses): void {
    const world = this.#world;
    const nowMs = world.clock.monotonicMs();
    if (world.broken.length === 0) return;
    const lock = world.stream.last(LOCK);
    const holder = lock?.operation === 'PUT' ? lock.headers['Rollcall-Holder'] : undefined;
    if (!world.broken.some(({ name }) => name === holder)) {
      this.#brokenLedSinceMs = undefined;
      return;
    }
    this.#brokenLedSinceMs ??= nowMs;
    // An old view does no harm until something changes; then whoever leads next tells of it.
    const { faults } = world.broken[0]?.api ?? {};
    const isCut = faults?.unreachable === true;
    if (nowMs - world.changedAtMs < (isCut ? BROKEN_LEADS_MS : SILENT_SOURCE_MS)) {
      judge.disturbedUntilMs = Math.max(judge.disturbedUntilMs, nowMs + BLIND_HAND_OVER_MS);
      judge.blind.push({ fromMs: nowMs - 500, untilMs: nowMs + BLIND_HAND_OVER_MS, broken: true });
    }
    if (!isCut) return;
    const others = [...judge.outages, ...judge.blind.filter(({ broken }) => broken !== true)];
    const sinceMs = Math.max(
      this.#brokenLedSinceMs,
      this.locksLapseFromMs,
      world.startedAtMs,
      ...others.map(({ untilMs }) => untilMs),
    );
    if (nowMs - sinceMs > BROKEN_LEADS_MS)
      throw new Error(`I5: ${holder} is cut off and leads for ${nowMs - sinceMs} ms while another is well`);
  }
}
