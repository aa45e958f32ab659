// Plain text and colours for a terminal: cutting and durations. Draws nothing itself.

import { styleText } from 'node:util';

/** A text made safe to print (no control characters), cut to a width with an ellipsis. */
export const cut = (text: string, width: number): string => {
  const safe = text.replace(/\p{Cc}/gu, '?');
  return safe.length <= width ? safe : `${safe.slice(0, Math.max(0, width - 1))}…`;
};

/** `0.04 s`, `12.3 s`, `31 s`. */
export const seconds = (ms: number): string => {
  const value = ms / 1_000;
  if (value < 1) return `${value.toFixed(2)} s`;
  return Number.isInteger(value) ? `${value} s` : `${value.toFixed(1)} s`;
};

/** `3 keys`, `1 key`. */
export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

/** A piece of a line: its text, and how it is coloured. */
export type Piece = readonly [text: string, style?: Parameters<typeof styleText>[0] | undefined];

/** Colours the pieces, cutting what goes beyond the width. */
export const paint = (pieces: readonly Piece[], width = Number.POSITIVE_INFINITY): string => {
  let left = width;
  let painted = '';
  for (const [text, style] of pieces) {
    if (left <= 0) break;
    const shown = cut(text, left);
    left -= shown.length;
    painted += style === undefined ? shown : styleText(style, shown);
  }
  return painted;
};
