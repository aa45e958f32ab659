/**
 * Free TCP ports on this machine. Taken below the range from which kernels give ports to outgoing connections (32768
 * on Linux, 49152 on macOS), because a server that is killed and restarted minutes later must find its port still free.
 */
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

const firstPort = 20_000;
const lastPort = 32_000;
const attempts = 100;

/** Ports already given out by this process, whose servers may not listen yet. */
const given = new Set<number>();

export async function freePort(address = '127.0.0.1'): Promise<number> {
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const port = randomInt(firstPort, lastPort);
    if (given.has(port) || !(await canListen(port, address))) continue;
    given.add(port);
    return port;
  }
  throw new Error(`no free port on ${address} between ${firstPort} and ${lastPort} in ${attempts} tries`);
}

function canListen(port: number, address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: address, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
