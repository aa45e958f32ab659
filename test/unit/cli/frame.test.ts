// What a frame writes to its terminal: told by playing the escapes it uses on a screen of lines.

import { EventEmitter } from 'node:events';
import type { WriteStream } from 'node:tty';
import { afterEach, describe, expect, test } from 'vitest';
import { Frame } from '../../../src/cli/frame.ts';

/** A terminal that understands the escapes of a frame, and keeps what was written since it was last asked. */
class Screen extends EventEmitter {
  columns = 41;
  rows = 5;
  readonly shown = new Map<number, string>();
  #written = '';

  write(text: string): boolean {
    this.#written += text;
    // oxlint-disable-next-line no-control-regex
    for (const [, row, clear, line = ''] of text.matchAll(/\x1b\[(?:(\d+);1H\x1b\[K|(2J))([^\x1b]*)/g)) {
      if (clear === '2J') this.shown.clear();
      else this.shown.set(Number(row), line);
    }
    return true;
  }

  take(): string {
    const written = this.#written;
    this.#written = '';
    return written;
  }

  text(): readonly string[] {
    return [...this.shown].toSorted(([a], [b]) => a - b).map(([, line]) => line);
  }
}

let frame: Frame | undefined;

afterEach(() => frame?.close());

const open = (...first: readonly string[]) => {
  const screen = new Screen();
  const asked: (readonly [width: number, rows: number])[] = [];
  const state = { lines: first };
  const opened = new Frame(screen as unknown as WriteStream, (width, rows) => {
    asked.push([width, rows]);
    return state.lines;
  });
  frame = opened;
  const draw = (...lines: readonly string[]) => {
    screen.take();
    state.lines = lines;
    opened.draw();
    return screen.take();
  };
  return { screen, asked, state, draw, opened };
};

describe('a frame', () => {
  test('asks for lines that fit, and draws all of them at once', () => {
    const { screen, asked } = open('head', 'a', 'b');
    expect(asked).toEqual([[40, 5]]);
    expect(screen.text()).toEqual(['head', 'a', 'b']);
  });

  test('writes only the lines that changed, and nothing where none did', () => {
    const { screen, draw } = open('head', 'a', 'b');
    expect(draw('head', 'a', 'b')).toBe('');
    const written = draw('head', 'A', 'b');
    expect(screen.text()).toEqual(['head', 'A', 'b']);
    expect(written).toContain('A');
    expect(written).not.toMatch(/head|b$/m);
  });

  test('wipes lines that are no more', () => {
    const { screen, draw } = open('head', 'a', 'b');
    draw('head');
    expect(screen.text()).toEqual(['head', '', '']);
    expect(draw('head')).toBe('');
  });

  test('draws everything anew, and to measure, when the terminal changes its size', () => {
    const { screen, asked, state } = open('head', 'a');
    screen.take();
    Object.assign(screen, { columns: 21, rows: 3 });
    state.lines = ['head', 'a'];
    screen.emit('resize');
    expect(asked.at(-1)).toEqual([20, 3]);
    expect(screen.take()).toContain('\x1b[2J');
    expect(screen.text()).toEqual(['head', 'a']);
  });

  test('gives the screen back when it is closed, and hears nothing more', () => {
    const before = process.listenerCount('exit');
    const { screen, opened } = open('head');
    expect(process.listenerCount('exit')).toBe(before + 1);
    screen.take();
    opened.close();
    expect(screen.take()).toBe('\x1b[?7h\x1b[?25h\x1b[?1049l');
    expect(process.listenerCount('exit')).toBe(before);
    screen.emit('resize');
    expect(screen.take()).toBe('');
  });
});
