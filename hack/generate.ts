// Writes what is generated from the schema: crds/ and docs/reference.md. With --check it writes nothing, and fails when
// a committed file is not what the schema says.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { stringify } from 'yaml';
import { crdManifest, openApiSchema, policyCrdManifest, policyOpenApiSchema } from './crd-manifest.ts';
import { referencePage } from './crd-reference.ts';

const root = join(import.meta.dirname, '..');
const header = (schema: string) => `# Generated from src/domain/${schema}.ts by hack/generate.ts. Do not edit.\n`;
const yamlOf = (manifest: object) => stringify(manifest, { lineWidth: 120, aliasDuplicateObjects: false });

const files: readonly { readonly path: string; readonly text: string }[] = [
  {
    path: 'crds/serviceregistrations.rollcall.dev.yaml',
    text: header('crd-schema') + yamlOf(crdManifest()),
  },
  {
    path: 'crds/servicenamepolicies.rollcall.dev.yaml',
    text: header('policy-schema') + yamlOf(policyCrdManifest()),
  },
  { path: 'docs/reference.md', text: referencePage(openApiSchema(), policyOpenApiSchema(), 'rollcall.dev') },
];

const stored = (path: string): Promise<string> => readFile(join(root, path), 'utf8').catch(() => '');

if (process.argv.includes('--check')) {
  for (const { path, text } of files) {
    if ((await stored(path)) === text) continue;
    console.error(`${path} is not what the schema says. Run: node hack/generate.ts (and commit the result)`);
    process.exitCode = 1;
  }
} else {
  for (const { path, text } of files) {
    if ((await stored(path)) === text) continue;
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
    console.error(`wrote ${path}`);
  }
}
