/** One host: its disk, its network, its machine; booted, told what to do, and cut from its power. */
import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chownSync, closeSync, existsSync, mkdirSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { childrenOf, exec, isMounted, runs } from './system.ts'

export interface HostPlace {
  name: string
  dir: string
  /** The Debian tree below its disk. */
  tree: string
  /** Here → there, read-only. */
  binds: Record<string, string>
  bridge: string
  namespace: string
  address: string
}

export interface Answer {
  code: number
  out: string
  err: string
}

const BOOT_MS = 90_000
/** The hierarchies of a machine with version 1, and the whole of one with version 2. */
const CGROUPS = ['systemd', 'unified', 'memory', 'cpu', 'pids', '']
/** A reboot inside ends systemd-nspawn with 133: starting it again is our part. */
const RUN = `for group in $GROUPS; do echo $$ > $group/cgroup.procs; done
  code=133; while [ $code = 133 ]; do code=0; systemd-nspawn "$@" || code=$?; done`
/** Of commands inside. */
const ENV = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8' }
/** The ext4 ioctl that keeps what was synced and drops the rest. */
const DROP = 'open(F, "<", $ARGV[0]) or die; my $flags = pack("L", 2); ioctl(F, 0x8004587d, $flags) or die $!'

export class Host {
  readonly name: string
  readonly address: string
  readonly #place: HostPlace

  constructor(place: HostPlace) {
    this.#place = place
    this.name = place.name
    this.address = place.address
  }

  get running(): boolean {
    return this.#leader() !== undefined
  }

  /** Its file system, from outside. */
  get root(): string {
    return join(this.#place.dir, 'root')
  }

  /** Its own disk, network and names; nothing where they are there already. */
  async create(diskMb: number, publicKey: string): Promise<void> {
    const { dir, namespace, bridge, address } = this.#place
    const image = join(dir, 'disk.img')
    const fresh = !existsSync(image)
    if (fresh) {
      for (const part of ['disk', 'root']) mkdirSync(join(dir, part), { recursive: true })
      await exec('truncate', '-s', `${diskMb}M`, image)
      await exec('mkfs.ext4', '-q', '-F', '-m', '0', image)
    }
    await this.#mount()
    if (fresh) this.#name(readFileSync(publicKey, 'utf8'))
    if (existsSync(`/run/netns/${namespace}`)) return
    await exec('ip', 'netns', 'add', namespace)
    // The namespace of a host that was killed can go before its cable does.
    await runs('ip', 'link', 'del', this.#cable)
    await exec('ip', 'link', 'add', this.#cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace)
    await exec('ip', 'link', 'set', this.#cable, 'master', bridge, 'up')
    await exec('ip', '-n', namespace, 'addr', 'add', `${address}/24`, 'dev', 'eth0')
    for (const link of ['eth0', 'lo']) await exec('ip', '-n', namespace, 'link', 'set', link, 'up')
  }

  async boot(): Promise<void> {
    const { dir, name, namespace, binds } = this.#place
    await exec('ip', 'link', 'set', this.#cable, 'up')
    const log = openSync(join(dir, 'console.log'), 'a')
    const args = ['--quiet', '--register=no', '--keep-unit', '-D', this.root, `--machine=${name}`, '--boot']
    args.push(`--network-namespace-path=/run/netns/${namespace}`, '--capability=CAP_NET_ADMIN', '--console=pipe')
    args.push('--resolv-conf=off', '--timezone=off', '--link-journal=no')
    for (const [here, there] of Object.entries(binds)) args.push(`--bind-ro=${here}:${there}`)
    const child = spawn('bash', ['-c', RUN, 'host', ...args], {
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...process.env, SYSTEMD_NSPAWN_API_VFS_WRITABLE: 'network', GROUPS: this.#cgroups().join(' ') },
    })
    closeSync(log)
    child.unref()
    writeFileSync(join(dir, 'pid'), String(child.pid))
  }

  /** Resolves when systemd has come up in it. */
  async booted(): Promise<void> {
    const end = Date.now() + BOOT_MS
    for (;;) {
      if (this.running) {
        const { out } = await this.run('systemctl', 'is-system-running')
        if (['running', 'degraded'].includes(out.trim())) return
      }
      if (Date.now() > end) throw new Error(`${this.name} does not boot: see ${join(this.#place.dir, 'console.log')}`)
      await sleep(50)
    }
  }

  /** Runs a command in it, as root. */
  run(command: string, ...args: string[]): Promise<Answer> {
    const inside = this.#inside(command, args)
    return new Promise((resolve) => {
      execFile('nsenter', inside, { env: ENV, maxBuffer: 1 << 26 }, (error, out, err) =>
        resolve({ code: error === null ? 0 : Number(error.code ?? -1), out, err }),
      )
    })
  }

  /** Begins a command in it, as root; its standard output is a pipe. */
  start(command: string, ...args: string[]): ChildProcess {
    return spawn('nsenter', this.#inside(command, args), { env: ENV, stdio: ['ignore', 'pipe', 'ignore'] })
  }

  /** Standard output of a shell command; rejects when it fails. */
  async sh(script: string): Promise<string> {
    const { code, out, err } = await this.run('sh', '-ec', script)
    if (code !== 0) throw new Error(`${this.name}: ${script}: exit code ${code}\n${out}${err}`)
    return out
  }

  /** All of its processes end at once, nobody is told, and its disk keeps what was synced. `boot` brings it back. */
  async powerCut(): Promise<void> {
    await exec('ip', 'link', 'set', this.#cable, 'down')
    await exec('perl', '-e', DROP, join(this.#place.dir, 'disk'))
    await this.#end()
    await this.#unmount()
    // A copy: a container that was started meanwhile may keep the mount, and with it the file system that was shut down.
    const image = join(this.#place.dir, 'disk.img')
    await exec('cp', '--sparse=always', image, `${image}.new`)
    await exec('mv', `${image}.new`, image)
    await this.#mount()
  }

  async remove(): Promise<void> {
    const { dir, namespace } = this.#place
    await this.#end()
    await this.#unmount()
    await runs('ip', 'netns', 'del', namespace)
    for (const group of this.#cgroups()) await runs('find', group, '-depth', '-type', 'd', '-delete')
    await rm(dir, { recursive: true, force: true })
  }

  #inside(command: string, args: readonly string[]): string[] {
    const leader = this.#leader()
    if (leader === undefined) throw new Error(`${this.name} is down`)
    return ['-t', String(leader), '-m', '-u', '-i', '-n', '-p', '--', command, ...args]
  }

  /** Our end of its network. */
  get #cable(): string {
    return `v${this.#place.namespace.slice(5)}`
  }

  /** The machine's PID 1, as this machine sees it: our loop → systemd-nspawn → it. */
  #leader(): number | undefined {
    const loop = this.#loop()
    const nspawn = loop === undefined ? undefined : childrenOf(loop)[0]
    return nspawn === undefined ? undefined : childrenOf(nspawn)[0]
  }

  /** Undefined where it is not there any more, or is another program by now. */
  #loop(): number | undefined {
    try {
      const pid = Number(readFileSync(join(this.#place.dir, 'pid'), 'utf8'))
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(this.root) ? pid : undefined
    } catch {
      return undefined
    }
  }

  async #end(): Promise<void> {
    const loop = this.#loop()
    if (loop === undefined) return
    const nspawn = childrenOf(loop)
    const pids = [loop, ...nspawn.flatMap(childrenOf), ...nspawn]
    // Its PID 1 takes every process of the machine along.
    for (const pid of pids) await runs('kill', '-9', String(pid))
    const end = Date.now() + 20_000
    while (pids.some((pid) => existsSync(`/proc/${pid}`))) {
      if (Date.now() > end) throw new Error(`${this.name} does not end: ${pids.join(', ')}`)
      await sleep(10)
    }
  }

  #cgroups(): string[] {
    const roots = CGROUPS.map((name) => join('/sys/fs/cgroup', name))
    const used = roots.filter((root) => existsSync(join(root, 'cgroup.procs')))
    const groups = used.map((root) => join(root, this.#place.namespace))
    for (const group of groups) mkdirSync(group, { recursive: true })
    return groups
  }

  async #mount(): Promise<void> {
    const { dir, tree } = this.#place
    const disk = join(dir, 'disk')
    if (!isMounted(disk)) await exec('mount', '-o', 'loop', join(dir, 'disk.img'), disk)
    for (const part of ['up', 'work']) mkdirSync(join(disk, part), { recursive: true })
    const options = `lowerdir=${tree},upperdir=${join(disk, 'up')},workdir=${join(disk, 'work')}`
    if (!isMounted(this.root)) await exec('mount', '-t', 'overlay', 'overlay', '-o', options, this.root)
  }

  async #unmount(): Promise<void> {
    for (const path of [this.root, join(this.#place.dir, 'disk')]) {
      // What has just ended may hold it for a moment.
      for (let tries = 0; isMounted(path) && tries < 100; tries++) if (!(await runs('umount', path))) await sleep(50)
      if (isMounted(path)) throw new Error(`${path} cannot be unmounted`)
    }
  }

  #name(key: string): void {
    const write = (path: string, text: string): void => writeFileSync(join(this.root, path), text)
    write('etc/hostname', `${this.name}\n`)
    write('etc/hosts', `127.0.0.1 localhost\n127.0.1.1 ${this.name}\n`)
    // One that is there: otherwise the first boot would enable and disable units as it likes.
    write('etc/machine-id', `${randomBytes(16).toString('hex')}\n`)
    for (const home of ['root', 'home/chaos']) {
      const folder = join(this.root, home, '.ssh')
      const { uid, gid } = statSync(join(this.root, home))
      mkdirSync(folder, { recursive: true, mode: 0o700 })
      writeFileSync(join(folder, 'authorized_keys'), key, { mode: 0o600 })
      for (const path of [folder, join(folder, 'authorized_keys')]) chownSync(path, uid, gid)
    }
  }
}
