// How a connection proves who it is and whom it trusts. Everything secret is read from its file again on every
// connect, so a rotated secret works without a restart. Not here: when to connect (`connection.ts`).

import { readFileSync } from 'node:fs';
import type { Authenticator, TlsOptions } from '@nats-io/transport-node';
import {
  credsAuthenticator,
  nkeyAuthenticator,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
} from '@nats-io/transport-node';

export type NatsCredentials = {
  /** `nats://host:port`, `tls://host:port` or `host:port`. A user part is used and never logged. */
  readonly servers: readonly string[];
  readonly credsFile?: string | undefined;
  readonly nkeyFile?: string | undefined;
  readonly user?: string | undefined;
  readonly passwordFile?: string | undefined;
  readonly tokenFile?: string | undefined;
  readonly caFile?: string | undefined;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
  /** TLS before the server's first line, for servers with `handshake_first`. */
  readonly tlsFirst?: boolean | undefined;
};

/** The server addresses without their user parts: safe to log and to hand to the client, which ignores those anyway. */
export function addresses(servers: readonly string[]): string[] {
  return servers.map((server) => server.replace(/^([a-z]+:\/\/)?.*@/, '$1'));
}

/**
 * Answers the server's challenge. A file that cannot be read must not end the connection for ever, as an exception
 * from an authenticator does in nats.js: then we answer without credentials, are refused, and try again later.
 */
export function authenticator(options: NatsCredentials, onProblem: (problem: string) => void): Authenticator {
  const sources = credentialSources(options);
  return (nonce) => {
    try {
      // Sources may add up: a user in the URL and a password from a file.
      return Object.assign({}, ...sources.map((source) => source(nonce)));
    } catch (error) {
      onProblem(`credentials cannot be read: ${reasonWithoutContent(error)}`);
      return undefined;
    }
  };
}

/** `undefined`: TLS only where the server offers it or insists on it, trusted by the system's certificates. */
export function tlsOptions(options: NatsCredentials): TlsOptions | undefined {
  const { caFile, certFile, keyFile, tlsFirst } = options;
  const wanted = caFile || certFile || keyFile || tlsFirst || options.servers.some((s) => s.startsWith('tls://'));
  if (!wanted) return undefined;
  return {
    ...(caFile && { caFile }),
    ...(certFile && { certFile }),
    ...(keyFile && { keyFile }),
    ...(tlsFirst && { handshakeFirst: true }),
  };
}

function credentialSources(options: NatsCredentials): Authenticator[] {
  const { credsFile, nkeyFile, user, passwordFile, tokenFile } = options;
  const sources: Authenticator[] = [];
  const inUrl = userPart(options.servers);
  if (inUrl !== undefined) sources.push(() => inUrl);
  if (credsFile) sources.push(credsAuthenticator(() => readFileSync(credsFile)));
  if (nkeyFile) sources.push(nkeyAuthenticator(() => new TextEncoder().encode(secret(nkeyFile))));
  if (tokenFile) sources.push(tokenAuthenticator(() => secret(tokenFile)));
  if (user) sources.push(usernamePasswordAuthenticator(user, () => (passwordFile ? secret(passwordFile) : '')));
  return sources;
}

function userPart(servers: readonly string[]): { user: string; pass: string } | { auth_token: string } | undefined {
  for (const server of servers) {
    const match = /^(?:[a-z]+:\/\/)?([^@/]+)@/.exec(server);
    if (match?.[1] === undefined) continue;
    const [user = '', ...password] = match[1].split(':').map(decoded);
    return password.length > 0 ? { user, pass: password.join(':') } : { auth_token: user };
  }
  return undefined;
}

/** A password with a bare `%` is meant as it stands. */
const decoded = (part: string): string => {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
};

/** Editors and `echo` end files with a newline that is no part of the secret. */
const secret = (file: string): string => readFileSync(file, 'utf8').trim();

/** Node's file errors name the path, not the content; anything else might quote what it could not parse. */
function reasonWithoutContent(error: unknown): string {
  return error instanceof Error && 'code' in error && 'path' in error ? error.message : 'the file has the wrong format';
}
