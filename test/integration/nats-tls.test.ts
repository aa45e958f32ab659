// A NATS server that insists on TLS: with a certificate authority of its own, with one that the machine trusts, and with one
// that nobody does; one that wants to know its clients as well; and one whose certificates are all renewed.

import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type NatsServer, startNats } from '../../hack/control-plane/nats.ts';
import { waitFor } from '../../hack/control-plane/wait.ts';
import { readyRegistry } from '../support/nats-registry.ts';
import { runRollcall } from '../support/operator-process.ts';

const MAKER = join(import.meta.dirname, 'certificates/main.go');
const BACK_MS = 5_000;

let dir: string;
let server: NatsServer;
let strict: NatsServer;
const file = (name: string): string => join(dir, name);

const makeCertificates = (where: string) => promisify(execFile)('go', ['run', MAKER, where], { cwd: dir });

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rollcall-tls-'));
  await makeCertificates(dir);
  const args = ['--tls', `--tlscert=${file('server.pem')}`, `--tlskey=${file('server-key.pem')}`];
  server = await startNats({ dir, args });
  strict = await startNats({ dir, name: 'strict', args: [...args, '--tlsverify', `--tlscacert=${file('ca.pem')}`] });
}, 300_000);

afterAll(async () => {
  await server?.stop();
  await strict?.stop();
  await rm(dir, { recursive: true, force: true });
});

const urlOf = ({ port }: NatsServer): string => `nats://localhost:${port}`;

const ensure = (args: readonly string[], env: NodeJS.ProcessEnv = {}, of = server) =>
  runRollcall(['bucket', 'ensure', '--bucket=over-tls', `--nats-url=${urlOf(of)}`, ...args], env);

test.each([
  ['with --nats-ca', true, {}],
  ['without a setting, where the machine trusts its certificate', false, { trusts: true }],
])('is used %s', async (_, names, { trusts = false }: { trusts?: boolean }) => {
  const args = names ? [`--nats-ca=${file('ca.pem')}`] : [];
  const { code, stdout, stderr } = await ensure(args, trusts ? { NODE_EXTRA_CA_CERTS: file('ca.pem') } : {});
  expect(stdout + stderr).toContain('over-tls');
  expect(code).toBe(0);
});

test('whose certificate nobody trusts is not used, and why is said', async () => {
  const { code, stdout, stderr } = await ensure([]);
  expect(stdout + stderr).toMatch(/(self.signed certificate|unable to verify).*--nats-ca names the authority to trust/);
  expect(code).toBe(1);
}, 20_000);

test('that wants to know its clients lets in who has a certificate, and nobody else', async () => {
  const own = [`--nats-cert=${file('client.pem')}`, `--nats-key=${file('client-key.pem')}`];
  const known = await ensure([`--nats-ca=${file('ca.pem')}`, ...own], {}, strict);
  expect(known.stdout + known.stderr).toContain('over-tls');
  expect(known.code).toBe(0);
  const unknown = await ensure([`--nats-ca=${file('ca.pem')}`], {}, strict);
  expect(unknown.code).toBe(1);
}, 30_000);

test('whose certificates and authority are renewed is used again within 5 s, without a restart', async () => {
  const connection = { caFile: file('ca.pem'), certFile: file('client.pem'), keyFile: file('client-key.pem') };
  const registry = await readyRegistry([urlOf(strict)], { bucket: 'renewed', connection });
  try {
    const renewed = await mkdtemp(join(dir, 'renewed-'));
    await makeCertificates(renewed);
    await strict.process.kill('SIGTERM');
    await cp(renewed, dir, { recursive: true, force: true });
    await strict.process.restart();
    const { signal } = new AbortController();
    await waitFor('the registry to be usable', async () => (await registry.inspect(signal)).kind === 'usable', {
      deadlineMs: BACK_MS,
    });
  } finally {
    await registry.stop();
  }
}, 30_000);
