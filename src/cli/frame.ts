// Lines that are redrawn in place on the terminal's second screen, so that what stood there before comes back. Only
// lines that changed are written, hence no flicker. What the lines say, and when, is the caller's.

import type { WriteStream } from 'node:tty';

const escape = {
  /** The second screen, no cursor, and no wrapping of what is too wide after all. */
  enter: '\x1b[?1049h\x1b[?25l\x1b[?7l',
  leave: '\x1b[?7h\x1b[?25h\x1b[?1049l',
  /** Terminals that know it show the frame in one go; the others ignore it. */
  beginFrame: '\x1b[?2026h',
  endFrame: '\x1b[?2026l',
  clear: '\x1b[2J',
  line: (row: number) => `\x1b[${row + 1};1H\x1b[K`,
};

export class Frame {
  readonly #terminal: WriteStream;
  readonly #lines: (width: number, rows: number) => readonly string[];
  readonly #redraw = () => {
    this.#shown = [];
    this.#terminal.write(escape.clear);
    this.draw();
  };
  readonly #leave = () => void this.#terminal.write(escape.leave);
  #shown: readonly string[] = [];

  /** `lines` gives at most `rows` lines, none wider than `width`. */
  constructor(terminal: WriteStream, lines: (width: number, rows: number) => readonly string[]) {
    this.#terminal = terminal;
    this.#lines = lines;
    terminal.write(escape.enter);
    // However this process ends, the terminal must be usable after it.
    process.once('exit', this.#leave);
    terminal.on('resize', this.#redraw);
    this.#redraw();
  }

  draw(): void {
    const lines = this.#lines((this.#terminal.columns || 80) - 1, this.#terminal.rows || 24);
    const changed = lines.flatMap((line, row) => (line === this.#shown[row] ? [] : [escape.line(row) + line]));
    for (let row = lines.length; row < this.#shown.length; row += 1) changed.push(escape.line(row));
    this.#shown = lines;
    if (changed.length > 0) this.#terminal.write(escape.beginFrame + changed.join('') + escape.endFrame);
  }

  close(): void {
    this.#terminal.off('resize', this.#redraw);
    process.off('exit', this.#leave);
    this.#leave();
  }
}
