// The two small HTTP servers: metrics, and liveness and readiness. They answer from what they are given; what is live
// or ready is decided in `operator.ts`.

import { createServer, type RequestListener, type Server } from 'node:http';

/** undefined: well; else what is not, in a sentence. */
export type Probe = () => string | undefined;

export type Endpoints = Readonly<Record<string, () => Promise<Answer> | Answer>>;
export type Answer = { readonly status: number; readonly contentType: string; readonly text: string };

export const probeAnswer = (probe: Probe): Answer => {
  const problem = probe();
  return { status: problem === undefined ? 200 : 503, contentType: 'text/plain', text: `${problem ?? 'ok'}\n` };
};

/** Serves until the signal aborts. `address` is HOST:PORT or :PORT; `0` serves nothing. Rejects when it cannot listen. */
export const serve = async (address: string, endpoints: Endpoints, signal: AbortSignal): Promise<void> => {
  if (address === '0') return;
  const server = createServer(handler(endpoints));
  server.unref();
  await listen(server, address);
  signal.addEventListener('abort', () => {
    server.close();
    server.closeAllConnections();
  });
};

const handler =
  (endpoints: Endpoints): RequestListener =>
  (request, response) => {
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
    const endpoint = endpoints[path];
    const answer = async (): Promise<Answer> => {
      if (endpoint === undefined) return { status: 404, contentType: 'text/plain', text: 'not found\n' };
      return endpoint();
    };
    void answer()
      .catch((error: unknown): Answer => ({ status: 500, contentType: 'text/plain', text: `${String(error)}\n` }))
      .then(({ status, contentType, text }) => response.writeHead(status, { 'content-type': contentType }).end(text));
  };

const listen = (server: Server, address: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const colon = address.lastIndexOf(':');
    const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
    server.once('error', (error) => reject(new Error(`cannot listen on ${address}: ${error.message}`)));
    server.listen({ port: Number(address.slice(colon + 1)), ...(host === '' ? {} : { host }) }, resolve);
  });
