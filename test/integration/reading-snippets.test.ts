// The programs of docs/reading-the-registry.md, taken out of the page and held to a real nats-server: TypeScript and Go are
// run, and must tell of instances as they come, turn UNHEALTHY, lapse and are removed, and overlook what they cannot read.
// Python is compiled, and must name what the others name: its client is no part of this project.

import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { headers, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type NatsServer, startNats } from '../../hack/control-plane/nats.ts';
import { OwnedProcess } from '../../hack/control-plane/owned-process.ts';
import { waitFor } from '../../hack/control-plane/wait.ts';
import { connectStranger, readyRegistry } from '../support/nats-registry.ts';

const run = promisify(execFile);
const repository = join(import.meta.dirname, '../..');
const BUCKET = 'service-registry';
const SERVICE = 'trading-service';
/** A second's work once the Go toolchain has compiled the client. */
const BUILD_MS = 400_000;

let page: string;
let dir: string;
let server: NatsServer;
let stranger: NatsConnection;

beforeAll(async () => {
  page = await readFile(join(repository, 'docs/reading-the-registry.md'), 'utf8');
  // Within the repository, so that the TypeScript finds the packages.
  await mkdir(join(repository, '.run'), { recursive: true });
  dir = await mkdtemp(join(repository, '.run/reading-'));
  server = await startNats({ dir });
  const registry = await readyRegistry([server.url], { bucket: BUCKET });
  await registry.stop();
  stranger = await connectStranger(server.url);
}, 60_000);

afterAll(async () => {
  await stranger?.close();
  await server?.stop();
  if (dir !== undefined) await rm(dir, { recursive: true, force: true });
});

/** The page's one program in the language. */
const programIn = (language: string): string => {
  const [only, ...more] = [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))];
  if (only?.[1] === undefined || more.length > 0) throw new Error(`the page must have one program in ${language}`);
  return only[1];
};

const put = (instanceId: string, body: string | object, ttlSeconds = 60) => {
  const sent = headers();
  sent.set('Nats-TTL', String(ttlSeconds));
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return stranger.request(`$KV.${BUCKET}.service-instances.${SERVICE}.${instanceId}`, text, {
    headers: sent,
    timeout: 5_000,
  });
};
const purge = (instanceId: string) => {
  const sent = headers();
  sent.set('KV-Operation', 'PURGE');
  sent.set('Nats-Rollup', 'sub');
  sent.set('Nats-TTL', '60');
  return stranger.request(`$KV.${BUCKET}.service-instances.${SERVICE}.${instanceId}`, '', {
    headers: sent,
    timeout: 5_000,
  });
};

const anInstance = (instanceId: string, ip: string, status = 'ACTIVE') => ({
  serviceName: SERVICE,
  instanceId,
  version: '1.4.2',
  status,
  lastHeartbeat: '2026-11-23T17:00:10.123+08:00',
  stickyActiveGroup: null,
  metadata: { start_time: '2026-11-23T16:58:41.000+08:00', namespace: 'trading', pod: 'p', ip, port: 8080 },
});

/** What a reader must say last after each step in the life of three instances. */
type Expected = Readonly<Record<'found' | 'joined' | 'lapsed' | 'unhealthy' | 'third' | 'removed', RegExp>>;

const follow = async (
  name: string,
  command: string,
  args: readonly string[],
  expect: (id: (letter: string) => string) => Expected,
): Promise<void> => {
  const id = (letter: string) => `${SERVICE}-${name}${letter}`;
  const expected = expect(id);
  await put(id('a'), anInstance(id('a'), '10.0.0.1'));
  await put(id('x'), 'no JSON at all');
  const env = { ...process.env, NATS_URL: server.url };
  const logFile = join(dir, `${name}.log`);
  const reader = await OwnedProcess.start({ name, command, args, logFile, env });
  const untilSaid = async (what: keyof Expected) => {
    let said = '';
    const fits = async () => {
      said = await readFile(logFile, 'utf8');
      if (!reader.running) throw new Error(`${name} ended`);
      return expected[what].test(said.split('\n').at(-2) ?? '');
    };
    await waitFor(`${name} to tell what was ${what}`, fits, { deadlineMs: 20_000 }).catch((error: unknown) => {
      throw new Error(`${name} said:\n${said}`, { cause: error });
    });
  };
  try {
    await untilSaid('found');
    await put(id('b'), anInstance(id('b'), '10.0.0.2'), 2);
    await untilSaid('joined');
    await untilSaid('lapsed');
    await put(id('a'), anInstance(id('a'), '10.0.0.1', 'UNHEALTHY'));
    await untilSaid('unhealthy');
    await put(id('c'), anInstance(id('c'), '10.0.0.3'));
    await untilSaid('third');
    await purge(id('c'));
    await untilSaid('removed');
  } finally {
    await reader.stop();
    for (const letter of ['a', 'x']) await purge(id(letter));
  }
};

test('TypeScript', async () => {
  const file = join(dir, 'reader.ts');
  await writeFile(file, programIn('ts'));
  await follow('ts', process.execPath, [file], (id) => ({
    found: new RegExp(`^${id('a')} 10\\.0\\.0\\.1:8080$`),
    joined: new RegExp(`^${id('a')} 10\\.0\\.0\\.1:8080, ${id('b')} 10\\.0\\.0\\.2:8080$`),
    lapsed: new RegExp(`^${id('a')} 10\\.0\\.0\\.1:8080$`),
    unhealthy: /^nobody$/,
    third: new RegExp(`^${id('c')} 10\\.0\\.0\\.3:8080$`),
    removed: /^nobody$/,
  }));
}, 60_000);

test(
  'Go',
  async () => {
    const module = join(dir, 'go-reader');
    await mkdir(module);
    for (const file of ['go.mod', 'go.sum'])
      await copyFile(join(import.meta.dirname, 'go-reader', file), join(module, file));
    await writeFile(join(module, 'main.go'), programIn('go'));
    // As the tools are built: what the toolchain has compiled for them, the standard library above all, is taken over.
    const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=readonly -buildvcs=false' };
    await run('go', ['build', '-trimpath', '-o', 'reader', '.'], { cwd: module, env });
    await follow('go', join(module, 'reader'), [], (id) => ({
      found: new RegExp(`^ACTIVE ${id('a')} 1\\.4\\.2 10\\.0\\.0\\.1:8080$`),
      joined: new RegExp(`^ACTIVE ${id('b')} 1\\.4\\.2 10\\.0\\.0\\.2:8080$`),
      lapsed: new RegExp(`^gone service-instances\\.${SERVICE}\\.${id('b')}$`),
      unhealthy: new RegExp(`^UNHEALTHY ${id('a')} 1\\.4\\.2 10\\.0\\.0\\.1:8080$`),
      third: new RegExp(`^ACTIVE ${id('c')} `),
      removed: new RegExp(`^gone service-instances\\.${SERVICE}\\.${id('c')}$`),
    }));
  },
  BUILD_MS,
);

test('Python compiles, and reads what the others read', async () => {
  const file = join(dir, 'reader.py');
  const text = programIn('python');
  await writeFile(file, text);
  await run('python3', ['-m', 'py_compile', file]);
  const named = (program: string) =>
    [...program.matchAll(/["'](service-(?:registry|instances)[^"']*)["']/g)].map(([, name = '']) => name).toSorted();
  expect(named(text)).toEqual(named(programIn('ts')));
  expect(named(text)).toEqual(named(programIn('go')));
  expect(named(text)).toEqual([`service-instances.${SERVICE}.*`, BUCKET]);
  const fields = [...text.matchAll(/\["(\w+)"\]|\.get\("(\w+)"\)/g)].map(([, field, optional]) => field ?? optional);
  const known = JSON.stringify(anInstance('id', '10.0.0.1'));
  expect(fields.length).toBeGreaterThan(3);
  for (const field of fields) expect(known).toContain(`"${field}":`);
});
