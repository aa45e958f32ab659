// A TCP proxy that tests put between us and a server, to break the connection in every way a network can: cut
// (connections reset, new ones reset too), hold (nothing flows, nothing closes: a half-open connection), delay, lose and
// narrow. Not for fake time: it moves real bytes over real sockets.

import { connect as connectTcp, createServer, type Server, type Socket } from 'node:net';

export type Direction = 'both' | 'toServer' | 'toClient';

export type TcpProxy = {
  readonly port: number;
  /** Forward everything again; bytes held back flow on. */
  pass(): void;
  /** Reset all connections and every new one until `pass`. */
  cut(): void;
  /** Reset all connections, but let new ones through. */
  breakOnce(): void;
  /**
   * Stop forwarding in a direction without closing anything; new connections are accepted and see the same. What a client
   * sent before it gave up still arrives after `pass`, as it may from a network.
   */
  hold(direction?: Direction): void;
  /** Hold the connections there are, for good; new ones pass. Like a firewall that forgot them. */
  strand(): void;
  /** Forward each piece `ms` later, both ways. */
  delay(ms: number): void;
  /**
   * Lose this share of the pieces, as TCP shows it: a lost piece comes after 200 ms, or twice as long for each time that it
   * is lost again, and what was sent after it waits for it.
   */
  lose(share: number): void;
  /** Forward at most so many bytes per second per connection and direction. */
  narrow(bytesPerSecond: number): void;
  /** Bytes on their way to the server. */
  heldBytes(): number;
  connections(): number;
  /** Connections accepted so far. */
  accepted(): number;
  close(): Promise<void>;
};

/** Linux takes at least so long to miss an acknowledgement (TCP_RTO_MIN), and doubles it each time. */
const RETRANSMISSION_MS = 200;

type Weather =
  | { readonly kind: 'pass' }
  | { readonly kind: 'cut' }
  | { readonly kind: 'hold'; readonly direction: Direction }
  | { readonly kind: 'delay'; readonly ms: number }
  | { readonly kind: 'lose'; readonly share: number }
  | { readonly kind: 'narrow'; readonly bytesPerSecond: number };

export async function startTcpProxy(target: { host?: string; port: number; listenPort?: number }): Promise<TcpProxy> {
  let weather: Weather = { kind: 'pass' };
  let accepted = 0;
  const pairs = new Set<Pair>();
  const server = createServer({ allowHalfOpen: true }, (client) => {
    accepted++;
    if (weather.kind === 'cut') {
      client.on('error', () => {});
      client.resetAndDestroy();
      return;
    }
    const upstream = connectTcp({ host: target.host ?? '127.0.0.1', port: target.port, allowHalfOpen: true });
    const pair = new Pair(client, upstream, weather, () => pairs.delete(pair));
    pairs.add(pair);
  });
  const set = (next: Weather) => {
    weather = next;
    for (const pair of [...pairs]) {
      if (next.kind === 'cut') pair.reset();
      else pair.setWeather(next);
    }
  };
  const port = await listen(server, target.listenPort ?? 0);
  return {
    port,
    pass: () => set({ kind: 'pass' }),
    cut: () => set({ kind: 'cut' }),
    breakOnce: () => {
      for (const pair of [...pairs]) pair.reset();
    },
    hold: (direction = 'both') => set({ kind: 'hold', direction }),
    strand: () => {
      for (const pair of pairs) pair.strand();
    },
    delay: (ms) => set({ kind: 'delay', ms }),
    lose: (share) => set({ kind: 'lose', share }),
    narrow: (bytesPerSecond) => set({ kind: 'narrow', bytesPerSecond }),
    heldBytes: () => [...pairs].reduce((sum, pair) => sum + pair.heldBytes, 0),
    connections: () => pairs.size,
    accepted: () => accepted,
    close: () => {
      for (const pair of [...pairs]) pair.reset();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

const listen = (server: Server, port: number): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      if (address === null || typeof address === 'string') reject(new Error('the proxy listens on no port'));
      else resolve(address.port);
    });
  });

/** A client's connection and ours to the server, with one pipe each way. */
class Pair {
  readonly #client: Socket;
  readonly #upstream: Socket;
  readonly #toServer: Pipe;
  readonly #toClient: Pipe;
  readonly #gone: () => void;
  #stranded = false;

  constructor(client: Socket, upstream: Socket, weather: Weather, gone: () => void) {
    this.#client = client;
    this.#upstream = upstream;
    this.#gone = gone;
    this.#toServer = new Pipe(client, upstream);
    this.#toClient = new Pipe(upstream, client);
    for (const socket of [client, upstream]) {
      socket.setNoDelay(true);
      socket.on('error', () => this.#failed(socket));
    }
    client.on('close', () => this.#closed(upstream));
    upstream.on('close', () => this.#closed(client));
    this.setWeather(weather);
  }

  get heldBytes(): number {
    return this.#toServer.heldBytes;
  }

  strand(): void {
    this.setWeather({ kind: 'hold', direction: 'both' });
    this.#stranded = true;
  }

  setWeather(weather: Weather): void {
    if (this.#stranded) return;
    const held = (direction: Direction) =>
      weather.kind === 'hold' && (weather.direction === 'both' || weather.direction === direction);
    for (const [pipe, direction] of [
      [this.#toServer, 'toServer'],
      [this.#toClient, 'toClient'],
    ] as const) {
      pipe.set({
        held: held(direction),
        delayMs: weather.kind === 'delay' ? weather.ms : 0,
        lostShare: weather.kind === 'lose' ? weather.share : 0,
        bytesPerSecond: weather.kind === 'narrow' ? weather.bytesPerSecond : Number.POSITIVE_INFINITY,
      });
    }
  }

  reset(): void {
    this.#toServer.stop();
    this.#toClient.stop();
    this.#client.resetAndDestroy();
    this.#upstream.resetAndDestroy();
    this.#gone();
  }

  #failed(socket: Socket): void {
    // What it had sent is on its way all the same.
    if (socket === this.#client && !this.#stranded && this.#toServer.heldBytes > 0) this.#toServer.end();
    else this.reset();
  }

  #closed(other: Socket): void {
    if (other.destroyed) this.#gone();
  }
}

type PipeState = {
  readonly held: boolean;
  readonly delayMs: number;
  readonly lostShare: number;
  readonly bytesPerSecond: number;
};

/** One direction: a queue of pieces, each with the time before which it must not be forwarded. `null` is the end. */
class Pipe {
  readonly #from: Socket;
  readonly #to: Socket;
  #queue: { readonly piece: Buffer | null; readonly notBeforeMs: number }[] = [];
  #queuedBytes = 0;
  #state: PipeState = { held: false, delayMs: 0, lostShare: 0, bytesPerSecond: Number.POSITIVE_INFINITY };
  #freeAtMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(from: Socket, to: Socket) {
    this.#from = from;
    this.#to = to;
    from.on('data', (piece) => this.#take(Buffer.from(piece)));
    from.on('end', () => this.#take(null));
    to.on('drain', () => this.#flow());
  }

  set(state: PipeState): void {
    this.#state = state;
    this.#flow();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#queue = [];
  }

  get heldBytes(): number {
    return this.#state.held ? this.#queuedBytes : 0;
  }

  end(): void {
    this.#take(null);
  }

  #take(piece: Buffer | null): void {
    this.#queue.push({ piece, notBeforeMs: performance.now() + this.#state.delayMs + this.#lostMs() });
    this.#queuedBytes += piece?.length ?? 0;
    this.#flow();
  }

  #lostMs(): number {
    let lostMs = 0;
    for (let timeoutMs = RETRANSMISSION_MS; Math.random() < this.#state.lostShare; timeoutMs *= 2) lostMs += timeoutMs;
    return lostMs;
  }

  #flow(): void {
    clearTimeout(this.#timer);
    const { delayMs, lostShare, bytesPerSecond } = this.#state;
    const isSlow = delayMs > 0 || lostShare > 0 || Number.isFinite(bytesPerSecond);
    while (!this.#state.held && !this.#to.writableNeedDrain) {
      const next = this.#queue[0];
      if (next === undefined) break;
      const waitMs = Math.max(next.notBeforeMs, this.#freeAtMs) - performance.now();
      if (waitMs > 0.5 && isSlow) {
        this.#timer = setTimeout(() => this.#flow(), waitMs);
        break;
      }
      this.#queue.shift();
      this.#forward(next.piece);
    }
    // Beyond this the sender feels the hold as a full window, as on a real network.
    if (this.#queuedBytes > 256 * 1024) this.#from.pause();
    else this.#from.resume();
  }

  #forward(piece: Buffer | null): void {
    if (piece === null) {
      this.#to.end();
      return;
    }
    this.#queuedBytes -= piece.length;
    this.#freeAtMs = performance.now() + (piece.length / this.#state.bytesPerSecond) * 1_000;
    if (!this.#to.destroyed) this.#to.write(piece);
  }
}
