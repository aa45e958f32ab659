// Builds dist/: the program as JavaScript with source maps, because Node strips no types under node_modules. The
// packages it imports stay outside; whoever runs dist/ installs them.

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';

const root = join(import.meta.dirname, '..');
const outdir = join(root, 'dist');

// Chunks are named by their content: without this, those of earlier builds would stay and be packed too.
await rm(outdir, { recursive: true, force: true });
await build({
  entryPoints: [join(root, 'src/main.ts')],
  outdir,
  bundle: true,
  packages: 'external',
  // What one command alone needs stays a file that only this command loads.
  splitting: true,
  chunkNames: 'chunks/[name]-[hash]',
  format: 'esm',
  platform: 'node',
  target: 'node24',
  sourcemap: true,
  logLevel: 'warning',
});
