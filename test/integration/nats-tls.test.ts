// A NATS server that insists on TLS: with a certificate authority of its own, with one that the machine trusts, and with one
// that nobody does.

import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type NatsServer, startNats } from '../../hack/control-plane/nats.ts';
import { runRollcall } from '../support/operator-process.ts';

const run = promisify(execFile);
let dir: string;
let server: NatsServer;
let certificate: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rollcall-tls-'));
  const { stdout: root } = await run('go', ['env', 'GOROOT']);
  const maker = join(root.trim(), 'src/crypto/tls/generate_cert.go');
  await run('go', ['run', maker, '--host=localhost', '--ca', '--ecdsa-curve=P256'], { cwd: dir });
  certificate = join(dir, 'cert.pem');
  server = await startNats({ dir, args: ['--tls', `--tlscert=${certificate}`, `--tlskey=${join(dir, 'key.pem')}`] });
}, 300_000);

afterAll(async () => {
  await server?.stop();
  await rm(dir, { recursive: true, force: true });
});

const ensure = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  runRollcall(['bucket', 'ensure', '--bucket=over-tls', `--nats-url=nats://localhost:${server.port}`, ...args], env);

test.each([
  ['with --nats-ca', true, {}],
  ['without a setting, where the machine trusts its certificate', false, { trusts: true }],
])('is used %s', async (_, names, { trusts = false }: { trusts?: boolean }) => {
  const args = names ? [`--nats-ca=${certificate}`] : [];
  const { code, stdout, stderr } = await ensure(args, trusts ? { NODE_EXTRA_CA_CERTS: certificate } : {});
  expect(stdout + stderr).toContain('over-tls');
  expect(code).toBe(0);
});

test('whose certificate nobody trusts is not used, and why is said', async () => {
  const { code, stdout, stderr } = await ensure([]);
  expect(stdout + stderr).toMatch(/(self-signed certificate|unable to verify).*--nats-ca names the authority to trust/);
  expect(code).toBe(1);
}, 20_000);
