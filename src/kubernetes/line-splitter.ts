// Cuts a stream of bytes into lines on the buffers themselves; text is made only of whole lines. Knows nothing of
// JSON or of watches.

/** etcd stores no object over 1.5 MiB; as JSON, escaped at its worst, that is below 16 MiB. More is no watch stream. */
const LINE_BYTES_MAX = 16 * 1024 * 1024;

const NEWLINE = 0x0a;

export class LineSplitter {
  #rest: Buffer[] = [];
  #restBytes = 0;

  /** The lines that end within `piece`, without their newline; empty ones are left out. Take them before the next. */
  *push(piece: Uint8Array): Generator<Buffer> {
    const buffer = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
    let start = 0;
    for (;;) {
      const end = buffer.indexOf(NEWLINE, start);
      if (end < 0) break;
      const line = this.#join(buffer.subarray(start, end));
      start = end + 1;
      if (line.length > 0) yield line;
    }
    if (start < buffer.length) this.#keep(buffer.subarray(start));
  }

  /** Bytes after the last newline: a line that was cut, when the stream ends here. */
  get restBytes(): number {
    return this.#restBytes;
  }

  #keep(part: Buffer): void {
    this.#rest.push(part);
    this.#restBytes += part.length;
    if (this.#restBytes > LINE_BYTES_MAX) throw new Error(`a line of more than ${LINE_BYTES_MAX} bytes`);
  }

  #join(end: Buffer): Buffer {
    if (this.#rest.length === 0) return end;
    const line = Buffer.concat([...this.#rest, end], this.#restBytes + end.length);
    this.#rest = [];
    this.#restBytes = 0;
    return line;
  }
}
