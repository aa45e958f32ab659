// A watch of pods on its way through the gate, line by line, so that it can be spoiled as servers and what stands between
// spoil watches: lines left out, told twice, cut in the middle, kept back. Knows of HTTP only where bodies begin and end.

import type { IncomingMessage, ServerResponse } from 'node:http';

export type LineFate = 'pass' | 'drop' | 'double' | 'cut';

/** What all watches of a gate go through at this moment. */
export type WatchWeather = {
  /** Nothing is said, and what would have been is said when this is over. */
  silent: boolean;
  fateOf: () => LineFate;
};

const NEW_LINE = 10;
const EXPIRED = {
  type: 'ERROR',
  object: {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'too old resource version',
    reason: 'Expired',
    code: 410,
  },
};

export class GatedWatch {
  readonly #real: IncomingMessage;
  readonly #answer: ServerResponse;
  readonly #hidesPods: boolean;
  readonly #weather: WatchWeather;
  #rest = Buffer.alloc(0);
  #keptBack: Buffer[] = [];

  constructor(real: IncomingMessage, answer: ServerResponse, hidesPods: boolean, weather: WatchWeather) {
    this.#real = real;
    this.#answer = answer;
    this.#hidesPods = hidesPods;
    this.#weather = weather;
    real.on('data', (piece) => this.#take(Buffer.from(piece)));
    real.once('end', () => answer.end());
    real.once('error', () => answer.destroy());
    real.once('aborted', () => answer.destroy());
  }

  expire(): void {
    // Whole lines only are written, so any moment is between two.
    this.#answer.end(`${JSON.stringify(EXPIRED)}\n`);
    this.#real.destroy();
  }

  /** The silence is over. */
  release(): void {
    for (const line of this.#keptBack.splice(0)) this.#tell(line);
  }

  #take(piece: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, piece]);
    for (let end = this.#rest.indexOf(NEW_LINE); end >= 0; end = this.#rest.indexOf(NEW_LINE)) {
      const line = this.#rest.subarray(0, end + 1);
      this.#rest = this.#rest.subarray(end + 1);
      if (this.#hidesPods && !line.subarray(0, BOOKMARK.length).equals(BOOKMARK)) continue;
      if (this.#weather.silent) this.#keptBack.push(line);
      else this.#tell(line);
    }
  }

  #tell(line: Buffer): void {
    if (this.#answer.writableEnded || this.#answer.destroyed) return;
    const fate = this.#weather.fateOf();
    switch (fate) {
      case 'drop':
        return;
      case 'double':
        this.#answer.write(line);
        break;
      case 'cut':
        this.#answer.write(line.subarray(0, line.length >> 1), () => this.#answer.destroy());
        this.#real.destroy();
        return;
      case 'pass':
        break;
      default:
        return fate satisfies never;
    }
    this.#answer.write(line);
  }
}

const BOOKMARK = Buffer.from('{"type":"BOOKMARK"');
