// Renders manifests/install.yaml: the definitions from crds/, then manifests/base as the pinned kubectl's kustomize
// builds it. With --check it writes nothing, and fails when the committed file is another.

import { readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import packageJson from '../package.json' with { type: 'json' };
import { runKubectl } from './control-plane/kubectl.ts';
import { toolsDir } from './control-plane/tools.ts';
import { type GeneratedFile, root, writeOrCheck } from './generated-file.ts';

const header = '# Rendered from crds/ and manifests/base/ by hack/render-manifests.ts. Do not edit.\n';

/** `base`: the kustomization to render, instead of the committed one. */
export async function installManifest(base = join(root, 'manifests/base')): Promise<GeneratedFile> {
  const { code, stdout, stderr } = await runKubectl({
    // Not the kubectl of the PATH: another kustomize may order and print things differently.
    binary: join(await toolsDir(), 'kubectl'),
    kubeconfig: '/dev/null',
    cacheDir: join(tmpdir(), 'rollcall-kubectl-cache'),
    args: ['kustomize', base],
  });
  if (code !== 0) throw new Error(`kubectl kustomize ${base}: ${stderr.trim()}`);
  const image = `image: rollcall:${packageJson.version}\n`;
  if (!stdout.includes(image)) {
    throw new Error(
      `manifests/base/kustomization.yaml: newTag must be ${packageJson.version}, the version in package.json`,
    );
  }
  const crds = (await readdir(join(root, 'crds'))).toSorted();
  const definitions = await Promise.all(crds.map((file) => readFile(join(root, 'crds', file), 'utf8')));
  return {
    path: 'manifests/install.yaml',
    text: `${header}${definitions.map((definition) => `${definition.trimEnd()}\n---\n`).join('')}${stdout}`,
    script: 'hack/render-manifests.ts',
  };
}

if (import.meta.main) await writeOrCheck(await installManifest());
