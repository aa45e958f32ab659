// How fast the stream is read: as fast as the event loop bears where a term waits for it, gently where nobody does, and
// slower where a line turned out too narrow, because what is read too fast holds up the lock's answers behind it. Knows no
// connection: it is told how a reading ended.

/**
 * 25 MB, or some 35,000 keys, a second. Without a limit one read of the socket brings 3,000 messages and blocks the event
 * loop for 40-110 ms at a time, again and again; with it 99 % of the blocks are below 5 ms.
 */
export const BITS_PER_SECOND_MAX = 200_000_000;
const BITS_PER_SECOND_MIN = 2_000_000;
/**
 * 5 MB/s, or as much as it takes to read everything within 4 s: what comes is looked at and dropped before more of it comes,
 * which with 10,000 keys spares 10 to 30 MiB.
 */
const GENTLE_BITS_PER_SECOND = 40_000_000;
const GENTLE_SECONDS = 4;
/** Fewer messages fit into any buffer on the way: that they came says nothing of the line. */
const TELLING = 1_000;

export type Reading = { readonly bitsPerSecond: number; readonly isGentle: boolean };

export class ReadRate {
  /** At most, by how readings ended: all of them, and the gentle ones. */
  #bearable = BITS_PER_SECOND_MAX;
  #bearableGently = BITS_PER_SECOND_MAX;

  /** @param bytes all that the stream holds */
  begin(bytes: number, isGentle: boolean): Reading {
    const gentle = Math.max(GENTLE_BITS_PER_SECOND, (bytes * 8) / GENTLE_SECONDS);
    const most = isGentle ? Math.min(this.#bearableGently, gentle) : BITS_PER_SECOND_MAX;
    return { bitsPerSecond: Math.round(Math.min(this.#bearable, most)), isGentle };
  }

  /** The next one is twice as fast, or, where nobody waits for it, by a tenth. */
  ended({ isGentle }: Reading, messages: number): void {
    if (messages < TELLING) return;
    const factor = isGentle ? 1.1 : 2;
    this.#bearable = Math.min(BITS_PER_SECOND_MAX, this.#bearable * factor);
    this.#bearableGently = Math.min(BITS_PER_SECOND_MAX, this.#bearableGently * factor);
  }

  /**
   * The next one of its kind has a quarter of its rate. An audit ends with its term or its server as often as by a narrow
   * line, and was slow by choice: it slows no take-over down. Where nothing came nothing is known of the line.
   */
  brokenOff({ bitsPerSecond, isGentle }: Reading, messages: number): void {
    if (messages === 0) return;
    const slower = Math.max(BITS_PER_SECOND_MIN, bitsPerSecond / 4);
    this.#bearableGently = slower;
    if (!isGentle) this.#bearable = slower;
  }
}
