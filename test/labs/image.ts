/** The container image of this repository, built and run with buildah, podman and runc on a base image made here. Needs root. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { madeOnce } from '../../scripts/postgres/cache.ts'
import { exec, onPath, runs } from './hosts/system.ts'

const repository = fileURLToPath(new URL('../..', import.meta.url))
const TOOLS = ['buildah', 'podman', 'runc', 'mmdebstrap']
const PACKAGES = 'libstdc++6,libatomic1,ca-certificates,tini'
const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt'

/** Why there can be no containers here, for the `skip` option of tests; undefined when there can. */
export function containersMissing(): string | undefined {
  if (process.platform !== 'linux' || process.geteuid?.() !== 0) return 'containers need root on Linux'
  const missing = TOOLS.filter((tool) => !onPath(tool))
  return missing.length === 0 ? undefined : `containers need ${missing.join(', ')}`
}

export class Containers {
  /** Images and containers of its own, apart from those of this machine. */
  readonly #dir: string
  readonly #storage: string[]

  constructor() {
    const labs = resolve(process.env['CHAOS_LABS'] ?? join(homedir(), '.cache', 'chaos-labs'), 'images')
    mkdirSync(labs, { recursive: true })
    this.#dir = mkdtempSync(join(labs, 'storage-'))
    this.#storage = [
      '--root',
      join(this.#dir, 'root'),
      '--runroot',
      join(this.#dir, 'run'),
      '--storage-driver',
      'overlay',
    ]
  }

  /** Builds the Dockerfile on a base of Debian and this machine's Node; with its npm and its registry. */
  async build(tag: string): Promise<void> {
    const base = await this.#base()
    const npmrc = join(this.#dir, 'npmrc')
    writeFileSync(npmrc, await npmConfiguration(), { mode: 0o600 })
    try {
      await this.#buildah(
        ...['bud', '-q', '--format', 'docker', '--isolation', 'chroot', '--network', 'host'],
        ...['--secret', `id=npmrc,src=${npmrc}`, '-v', `${CERTIFICATES}:${CERTIFICATES}:ro`],
        ...['--build-arg', `BASE_IMAGE=${base}`, '-t', tag, repository],
      )
    } finally {
      rmSync(npmrc)
    }
  }

  podman(...args: string[]): Promise<string> {
    return exec('podman', ...this.#storage, '--runtime', 'runc', '--cgroup-manager', 'cgroupfs', ...args)
  }

  async remove(): Promise<void> {
    await runs('podman', ...this.#storage, 'rm', '-f', '-t', '0', '-a')
    await runs('podman', ...this.#storage, 'rmi', '-f', '-a')
    await runs('umount', join(this.#dir, 'root', 'overlay'))
    rmSync(this.#dir, { recursive: true, force: true })
  }

  #buildah(...args: string[]): Promise<string> {
    return exec('buildah', ...this.#storage, ...args)
  }

  async #base(): Promise<string> {
    const container = (await this.#buildah('from', 'scratch')).trim()
    await this.#buildah('add', '-q', container, await debianTar(dirname(this.#dir)), '/')
    await this.#buildah('copy', '-q', container, process.execPath, '/usr/local/bin/node')
    await this.#buildah('copy', '-q', container, await npmFolder(), '/usr/local/lib/node_modules/npm')
    const npm = ['ln', '-s', '../lib/node_modules/npm/bin/npm-cli.js', '/usr/local/bin/npm']
    await this.#buildah('run', '--isolation', 'chroot', container, '--', ...npm)
    const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
    await this.#buildah('config', '--env', path, container)
    await this.#buildah('commit', '-q', '--rm', container, 'localhost/chaos-lab-base')
    return 'localhost/chaos-lab-base'
  }
}

async function debianTar(folder: string): Promise<string> {
  const recipe = createHash('sha256').update(PACKAGES).digest('hex').slice(0, 12)
  const made = await madeOnce(join(folder, `debian-${recipe}`), async (temporary) => {
    const unread = ['man', 'doc', 'locale'].map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`)
    const options = ['--quiet', '--variant=minbase', '--dpkgopt=force-unsafe-io', ...unread]
    await exec('mmdebstrap', ...options, `--include=${PACKAGES}`, 'bookworm', join(temporary, 'base.tar'))
  })
  return join(made, 'base.tar')
}

async function npmFolder(): Promise<string> {
  const folder = join((await exec('npm', 'root', '-g')).trim(), 'npm')
  if (!existsSync(folder)) throw new Error(`no npm in ${folder}`)
  return folder
}

/** The registry and the credentials that `npm ci` uses on this machine. */
async function npmConfiguration(): Promise<string> {
  const file = join(homedir(), '.npmrc')
  const own = existsSync(file) ? readFileSync(file, 'utf8') : ''
  const registry = (await exec('npm', 'config', 'get', 'registry', '--prefix', tmpdir())).trim()
  return `${own}\nregistry=${registry}\ncafile=${CERTIFICATES}\n`
}
