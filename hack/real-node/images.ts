// Container images made by hand, without a registry or a build tool: one layer that holds busybox, in the docker-archive
// format that `ctr images import` reads (layer.tar, a config naming the layer's sha256, manifest.json).

import { createHash } from 'node:crypto';
import { copyFile, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './command.ts';

/** Stands in for the pause container of every pod. */
export const pauseImage = 'rollcall.local/pause:1';
/** A shell, `sleep`, `httpd`, `nc` and the rest of busybox. The tag is a version, as an application's would be. */
export const appImage = 'rollcall.local/app:1.4.2';

type ImageConfig = { readonly reference: string; readonly command: readonly string[] };

const images: readonly ImageConfig[] = [
  { reference: pauseImage, command: ['/bin/busybox', 'sleep', 'infinity'] },
  { reference: appImage, command: ['/bin/sh'] },
];

/** Writes the archive with all images into `dir` and returns its path. */
export const writeImageArchive = async (dir: string): Promise<string> => {
  const layer = await writeLayer(dir);
  const digest = createHash('sha256')
    .update(await readFile(layer))
    .digest('hex');
  const files = ['layer.tar', 'manifest.json'];
  const manifest: { Config: string; RepoTags: string[]; Layers: string[] }[] = [];
  for (const [index, image] of images.entries()) {
    const name = `config-${index}.json`;
    const config = {
      architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
      os: 'linux',
      config: { Cmd: image.command, Env: ['PATH=/bin'], WorkingDir: '/' },
      rootfs: { type: 'layers', diff_ids: [`sha256:${digest}`] },
      history: [{ created_by: 'hack/real-node' }],
    };
    await writeFile(join(dir, name), JSON.stringify(config));
    manifest.push({ Config: name, RepoTags: [image.reference], Layers: ['layer.tar'] });
    files.push(name);
  }
  await writeFile(join(dir, 'manifest.json'), JSON.stringify(manifest));
  const archive = join(dir, 'images.tar');
  await run('tar', ['-C', dir, '-cf', archive, ...files]);
  return archive;
};

const writeLayer = async (dir: string): Promise<string> => {
  const root = join(dir, 'rootfs');
  for (const folder of ['bin', 'tmp', 'etc', 'www', 'proc', 'sys', 'dev'])
    await mkdir(join(root, folder), { recursive: true });
  const busybox = (await run('sh', ['-c', 'command -v busybox'])).stdout.trim();
  await copyFile(busybox, join(root, 'bin', 'busybox'));
  const applets = (await run(busybox, ['--list'])).stdout.trim().split('\n');
  for (const applet of applets) {
    if (applet !== 'busybox') await symlink('busybox', join(root, 'bin', applet));
  }
  await writeFile(join(root, 'etc', 'passwd'), 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n');
  await writeFile(join(root, 'etc', 'group'), 'root:x:0:\nnobody:x:65534:\n');
  const layer = join(dir, 'layer.tar');
  await run('tar', ['-C', root, '--numeric-owner', '--owner=0', '--group=0', '-cf', layer, '.']);
  return layer;
};
