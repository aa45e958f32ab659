// The ports of pods that are no processes: servers at addresses of this machine, one per pod, that accept a connection and
// say nothing, until the pod dies.

import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

/** As every pod of the campaign declares. */
const PORT = 8_080;

export class Listeners {
  readonly #servers = new Map<string, Server>();

  /** Opens the port of the pod of this number; resolves with its address. */
  async open(number: number): Promise<string> {
    const address = `127.77.${(number >> 8) & 255}.${number & 255}`;
    const server = createServer((socket) => socket.on('error', () => undefined).resume());
    await once(server.listen(PORT, address), 'listening');
    this.#servers.set(address, server);
    return address;
  }

  close(address: string): void {
    this.#servers.get(address)?.close();
    this.#servers.delete(address);
  }
}
