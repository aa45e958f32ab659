// What the server will not have, and when it is asked again. A key that is too large is tried once a minute, for limits
// are seldom changed. A right that is missing is missing for all keys of its kind (form and service), so four of them ask
// each 3 s while the others wait, and the first that is let through takes them with it. Why a key is refused is the
// writer's to say.

import type { Refusal } from '../domain/registration-status.ts';
import { LAPSE_SLACK_MS, type Row } from './row.ts';
import type { Write } from './write.ts';

const DENIED_AGAIN_MS = 3_000;
/** Of one kind one may ask after so many ms. */
const ASK_EVERY_MS = DENIED_AGAIN_MS / 4;
const TOO_LARGE_AGAIN_MS = 60_000;
/** Of those that wait for a right, so many look each second whether it is their turn to ask. */
const LOOKS_PER_SECOND = 1_000;

type Refused = {
  readonly refusal: Refusal;
  /** Monotonic ms when it looks whether it is its turn. */
  untilMs: number;
  /** It is, until it was tried. */
  isItsTurn: boolean;
};

/** Keys for which the same right is missing. */
type Kind = { waiting: number; nextAskMs: number };

export class Refusals {
  readonly #refused = new Map<Row, Refused>();
  readonly #kinds = new Map<string, Kind>();
  /** Rows whose value is too large with a role in a sticky group, though perhaps not without; until this monotonic ms. */
  readonly #withoutRole = new Map<Row, number>();
  #releasedAtMs = Number.NEGATIVE_INFINITY;

  has(row: Row): boolean {
    return this.#refused.has(row);
  }

  of(row: Row): Refusal | undefined {
    return this.#refused.get(row)?.refusal;
  }

  /** The server would not have this write. Returns whether that is news. */
  add({ row, promotes }: Write, refusal: Refusal, nowMs: number): boolean {
    const before = this.#refused.get(row);
    this.end(row);
    let untilMs = nowMs + TOO_LARGE_AGAIN_MS;
    if (isDenied(refusal)) {
      const kind = this.#kinds.get(kindOf(row)) ?? { waiting: 0, nextAskMs: nowMs + DENIED_AGAIN_MS };
      kind.waiting += 1;
      this.#kinds.set(kindOf(row), kind);
      untilMs = nowMs + DENIED_AGAIN_MS + (kind.waiting * 1_000) / LOOKS_PER_SECOND;
    } else if (promotes) this.#withoutRole.set(row, untilMs);
    this.#refused.set(row, { refusal, untilMs, isItsTurn: false });
    return before?.refusal.message !== refusal.message;
  }

  /** The row is not to be written now: until this monotonic ms, when to ask once more. Undefined: it may be tried. */
  waitUntilMs(row: Row, nowMs: number): number | undefined {
    const refused = this.#refused.get(row);
    if (refused === undefined || refused.isItsTurn) return undefined;
    const kind = isDenied(refused.refusal) ? this.#kinds.get(kindOf(row)) : undefined;
    if (refused.untilMs <= nowMs && (kind === undefined || kind.nextAskMs <= nowMs)) {
      if (kind !== undefined) kind.nextAskMs = nowMs + ASK_EVERY_MS;
      refused.isItsTurn = true;
      return undefined;
    }
    if (refused.untilMs <= nowMs) {
      refused.untilMs = nowMs + Math.max(ASK_EVERY_MS, ((kind?.waiting ?? 0) * 1_000) / LOOKS_PER_SECOND);
    }
    // What was refused while it stood is another case once it has lapsed.
    const lapsesAtMs = lapseOf(row);
    return lapsesAtMs !== undefined && nowMs < lapsesAtMs ? Math.min(refused.untilMs, lapsesAtMs) : refused.untilMs;
  }

  /** The row cannot be written, and what stood under its key has lapsed, if nobody else wrote it. */
  hasLapsed(row: Row, nowMs: number): boolean {
    const lapsesAtMs = lapseOf(row);
    return this.#refused.has(row) && lapsesAtMs !== undefined && nowMs >= lapsesAtMs;
  }

  /** Whether the row's value may say ACTIVE for a sticky group, as far as the server is known. */
  mayPromote(row: Row, nowMs: number): boolean {
    return !this.#refused.has(row) && nowMs >= (this.#withoutRole.get(row) ?? 0);
  }

  /** What `mayPromote` and `hasLapsed` say of it may change as time passes. */
  concerns(row: Row): boolean {
    return this.#refused.has(row) || this.#withoutRole.has(row);
  }

  /** Its content is another: it may fit by now, and with a role as well. Returns whether it was refused. */
  lift(row: Row): boolean {
    this.#withoutRole.delete(row);
    return this.retry(row);
  }

  /**
   * It is to read otherwise, so that it may fit by now; what a right is missing for does not depend on what it says.
   * Returns whether it was refused.
   */
  retry(row: Row): boolean {
    const refused = this.#refused.get(row);
    return refused !== undefined && !isDenied(refused.refusal) && this.end(row);
  }

  /**
   * The row's key was stored. If it was denied, others may be allowed by now as well: returns those of its form, to be
   * tried at once, though not again and again where only some are.
   */
  release(row: Row, nowMs: number): readonly Row[] {
    const refused = this.#refused.get(row);
    if (refused === undefined || !isDenied(refused.refusal)) return [];
    if (nowMs - this.#releasedAtMs < DENIED_AGAIN_MS) return [];
    this.#releasedAtMs = nowMs;
    const rows: Row[] = [];
    for (const [other, waiting] of this.#refused) {
      if (other === row || other.form !== row.form || !isDenied(waiting.refusal)) continue;
      waiting.isItsTurn = true;
      rows.push(other);
    }
    return rows;
  }

  /** The key was stored, or asked about: it is refused no more. Returns whether it was. */
  end(row: Row): boolean {
    const refused = this.#refused.get(row);
    if (refused === undefined) return false;
    this.#refused.delete(row);
    const name = kindOf(row);
    const kind = isDenied(refused.refusal) ? this.#kinds.get(name) : undefined;
    if (kind === undefined) return true;
    kind.waiting -= 1;
    if (kind.waiting === 0) this.#kinds.delete(name);
    return true;
  }

  forget(row: Row): void {
    this.end(row);
    this.#withoutRole.delete(row);
  }

  clear(): void {
    this.#refused.clear();
    this.#kinds.clear();
    this.#withoutRole.clear();
  }
}

const isDenied = ({ reason }: Refusal): boolean => reason === 'RegistryDenied';

const kindOf = ({ form, wish }: Row): string => `${form} ${wish.serviceName}`;

const lapseOf = ({ observed }: Row): number | undefined =>
  observed.kind === 'ours' ? observed.writtenAtMs + observed.ttlMs + LAPSE_SLACK_MS : undefined;
