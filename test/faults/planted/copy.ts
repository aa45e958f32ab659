// A copy of what the operator runs from, with a bug planted in it.

import { cp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { applyEdit } from './edit.ts';
import type { Plant } from './plants.ts';

const repository = join(import.meta.dirname, '../../..');

/** Into `{dir}/{id}`, made anew. Resolves with that folder. */
export const plantIn = async (dir: string, { id, edits }: Plant): Promise<string> => {
  const copy = join(dir, id);
  await rm(copy, { recursive: true, force: true });
  await mkdir(copy, { recursive: true });
  for (const part of ['bin', 'src', 'package.json'])
    await cp(join(repository, part), join(copy, part), { recursive: true });
  await symlink(join(repository, 'node_modules'), join(copy, 'node_modules'));
  for (const edit of edits) {
    const path = join(copy, edit.file);
    await writeFile(path, applyEdit(await readFile(path, 'utf8'), edit));
  }
  return copy;
};
