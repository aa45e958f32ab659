// Keeps one committed file equal to what a script generates: writes it, or with --check says that it is not. What goes
// into the file is the script's business.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

export const root = join(import.meta.dirname, '..');

export type GeneratedFile = {
  /** From the root of the repository. */
  readonly path: string;
  readonly text: string;
  /** The script that writes it, from the root of the repository. */
  readonly script: string;
};

/** undefined: the file is as generated; else what is wrong, and what to do about it. */
export async function driftOf({ path, text, script }: GeneratedFile): Promise<string | undefined> {
  const stored = await readFile(join(root, path), 'utf8').catch(() => undefined);
  if (stored === text) return undefined;
  const remedy = `Run: node ${script} (and commit the result)`;
  if (stored === undefined) return `${path} is missing. ${remedy}`;
  const [before, after] = [stored.split('\n'), text.split('\n')];
  const line = before.findIndex((content, i) => content !== after[i]);
  const first = line < 0 ? before.length : line;
  return `${path} is out of date from line ${first + 1}: ${show(before[first])} should be ${show(after[first])}. ${remedy}`;
}

/** What a generating script ends with. */
export async function writeOrCheck(file: GeneratedFile): Promise<void> {
  const drift = await driftOf(file);
  if (drift === undefined) return;
  if (process.argv.includes('--check')) {
    console.error(drift);
    process.exitCode = 1;
    return;
  }
  await mkdir(dirname(join(root, file.path)), { recursive: true });
  await writeFile(join(root, file.path), file.text);
  console.error(`wrote ${file.path}`);
}

const show = (line: string | undefined): string =>
  line === undefined ? 'nothing' : JSON.stringify(line.slice(0, 120));
