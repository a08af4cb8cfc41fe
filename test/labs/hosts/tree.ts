/** The Debian tree that all hosts share: made once from Debian's packages, and read only ever after. */
import { createHash } from 'node:crypto'
import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { madeOnce } from '../../../scripts/postgres/cache.ts'
import { exec } from './system.ts'

const SUITE = 'bookworm'
const PACKAGES = [
  ...['systemd', 'systemd-sysv', 'dbus', 'openssh-server', 'sudo', 'cron', 'nginx-light', 'stress-ng'],
  ...['iproute2', 'iptables', 'nftables', 'procps', 'curl', 'libstdc++6', 'libatomic1'],
]
/** What would fetch updates, wait for a terminal, or keep records that nobody reads. */
const MASKED = [
  ...['apt-daily.timer', 'apt-daily-upgrade.timer', 'dpkg-db-backup.timer', 'e2scrub_all.timer', 'getty.target'],
  ...['console-getty.service', 'systemd-update-utmp.service', 'systemd-update-utmp-runlevel.service'],
]
/** $1 is the tree. Users: root and chaos, with passwords for tests of passwords; chaos may become root. */
const FINISH = `
  for unit in ${MASKED.join(' ')}; do ln -sf /dev/null "$1/etc/systemd/system/$unit"; done
  chroot "$1" useradd -m -s /bin/bash chaos
  printf 'root:root-pw\\nchaos:chaos-pw\\n' | chroot "$1" chpasswd
  echo 'chaos ALL=(ALL) NOPASSWD:ALL' > "$1/etc/sudoers.d/chaos"; chmod 440 "$1/etc/sudoers.d/chaos"
  printf 'PasswordAuthentication yes\\nPermitRootLogin yes\\nUseDNS no\\nMaxStartups 100\\n' > "$1/etc/ssh/sshd_config.d/lab.conf"`

export async function debianTree(folder: string): Promise<string> {
  const recipe = createHash('sha256')
    .update(JSON.stringify([SUITE, PACKAGES, MASKED, FINISH]))
    .digest('hex')
  mkdirSync(folder, { recursive: true })
  return madeOnce(join(folder, `tree-${recipe.slice(0, 12)}`), async (tree) => {
    // What is made for it is 0700; in the hosts it is `/`.
    chmodSync(tree, 0o755)
    const unread = ['man', 'doc', 'locale'].map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`)
    const options = ['--quiet', '--variant=minbase', '--dpkgopt=force-unsafe-io', ...unread]
    await exec('mmdebstrap', ...options, `--include=${PACKAGES.join(',')}`, `--customize-hook=${FINISH}`, SUITE, tree)
  })
}
