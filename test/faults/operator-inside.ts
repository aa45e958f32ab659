// A hand inside the operator, loaded before its own code: shifts the wall clock of that process, and counts what the process
// holds. Beside that the operator runs as shipped. `operator-hand.ts` moves it from outside.
//
// By files and a signal, because a server or a pipe would be a handle more: on SIGUSR2 it reads `{pid}.clock` and writes
// `{pid}.held` in the folder that its own address names.

import { readFileSync, writeFileSync } from 'node:fs';

const dir = new URL(import.meta.url).searchParams.get('dir') ?? '.';
const RealDate = Date;
let offsetMs = 0;

const now = (): number => RealDate.now() + offsetMs;

globalThis.Date = new Proxy(RealDate, {
  construct: (target, values, as) => Reflect.construct(target, values.length === 0 ? [now()] : values, as),
  get: (target, name) => (name === 'now' ? now : Reflect.get(target, name)),
});

process.on('SIGUSR2', () => {
  offsetMs = read();
  const held = process.getActiveResourcesInfo();
  const timers = held.filter((kind) => kind === 'Timeout' || kind === 'Immediate').length;
  writeFileSync(`${dir}/${process.pid}.held`, JSON.stringify({ handles: held.length - timers, timers }));
});

function read(): number {
  try {
    return Number(readFileSync(`${dir}/${process.pid}.clock`, 'utf8'));
  } catch {
    return 0;
  }
}
