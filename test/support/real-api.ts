// A real API server for integration tests: a control plane with our CRD, a transport to it, directly or through the
// suite's proxy, and namespaces for each test.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { type ControlPlane, startControlPlane } from '../../hack/control-plane/control-plane.ts';
import { waitFor } from '../../hack/control-plane/wait.ts';
import { systemClock } from '../../src/clock.ts';
import { type ClosableTransport, connectApi } from '../../src/kubernetes/undici-transport.ts';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts';

const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

export class RealApi {
  readonly dir: string;
  readonly controlPlane: ControlPlane;
  readonly #open: { close(): Promise<void> }[] = [];
  #names = 0;

  constructor(dir: string, controlPlane: ControlPlane) {
    this.dir = dir;
    this.controlPlane = controlPlane;
  }

  static async start(options: { controllerManager: boolean }): Promise<RealApi> {
    const dir = await mkdtemp(join(tmpdir(), 'rollcall-api-'));
    const controlPlane = await startControlPlane({ dir, ...options, scheduler: false, kwok: false });
    const api = new RealApi(dir, controlPlane);
    const crd: unknown = parse(
      await readFile(join(import.meta.dirname, '../../crds/serviceregistrations.rollcall.dev.yaml'), 'utf8'),
    );
    await controlPlane.api().post(CRDS, crd);
    await waitFor('the CRD to be served', () =>
      controlPlane.api().find('/apis/rollcall.dev/v1alpha1/serviceregistrations'),
    );
    return api;
  }

  /** As that user; through a proxy when one is given. Closed by `stop`. */
  async connect(user = 'admin', proxy?: TcpProxy): Promise<ClosableTransport> {
    const transport = await connectApi({
      kubeconfig: await this.kubeconfig(user, proxy),
      clock: systemClock,
      version: 'test',
    });
    this.#open.push(transport);
    return transport;
  }

  async kubeconfig(user = 'admin', proxy?: TcpProxy): Promise<string> {
    const direct = await this.controlPlane.writeKubeconfig({ user, path: join(this.dir, `${user}-test.kubeconfig`) });
    if (proxy === undefined) return direct;
    const path = join(this.dir, `${user}-${proxy.port}.kubeconfig`);
    await writeFile(
      path,
      (await readFile(direct, 'utf8')).replace(this.controlPlane.url, `https://127.0.0.1:${proxy.port}`),
    );
    return path;
  }

  async proxy(): Promise<TcpProxy> {
    const proxy = await startTcpProxy({ port: Number(new URL(this.controlPlane.url).port) });
    this.#open.push(proxy);
    return proxy;
  }

  async namespace(): Promise<string> {
    const name = `test-${++this.#names}`;
    await this.controlPlane.createNamespace(name);
    return name;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#open.map((each) => each.close()));
    await this.controlPlane.stop();
    await rm(this.dir, { recursive: true, force: true });
  }
}
