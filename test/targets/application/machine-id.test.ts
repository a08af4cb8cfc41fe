/** Where the machine id is that of the machine and stays so, it is told; where it does not, an address shows the machine. */
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { ownMachineId } from '../../../src/targets/application/machine-id.ts'
import { temporaryFolder } from '../../journal/helpers.ts'

const ROOT = '26 1 254:0 / / rw,relatime - ext4 /dev/vda rw'
/** As systemd mounts the one that it has made in /run. */
const TRANSIENT = '61 26 0:24 /machine-id /etc/machine-id ro,relatime shared:2 - tmpfs tmpfs rw,mode=755'
const MACHINE: Readonly<Record<string, string>> = {
  'etc/machine-id': `${'5'.repeat(32)}\n`,
  'proc/self/mountinfo': `${ROOT}\n45 26 254:1 / /etc rw,relatime - ext4 /dev/vdb rw\n`,
  'proc/1/environ': 'HOME=/\0TERM=linux\0container_hint=none\0',
}

for (const [what, files, isTold] of [
  ['of a machine that keeps it', {}, true],
  ['of a machine that does not tell what it has mounted', { 'proc/self/mountinfo': '', 'proc/1/environ': '' }, true],
  ['that is not there', { 'etc/machine-id': '' }, false],
  ['of a first start', { 'etc/machine-id': 'uninitialized\n' }, false],
  ['that systemd makes at each start', { 'proc/self/mountinfo': `${ROOT}\n${TRANSIENT}\n` }, false],
  ['of the image of a container of Docker', { '.dockerenv': '' }, false],
  ['of the image of a container of Podman', { 'run/.containerenv': '' }, false],
  ['of a container that systemd knows', { 'run/systemd/container': 'lxc' }, false],
  ['of a container whose manager names itself', { 'run/host/container-manager': 'systemd-nspawn' }, false],
  ['of a container by its environment', { 'proc/1/environ': 'HOME=/\0container=lxc\0TERM=linux\0' }, false],
] as const) {
  test(`the machine id ${what} ${isTold ? 'shows the machine' : 'shows no machine'}`, async (t) => {
    const root = temporaryFolder(t)
    for (const [path, text] of Object.entries({ ...MACHINE, ...files })) {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      writeFileSync(join(root, path), text)
    }
    const id = await ownMachineId(root)
    if (isTold) assert.match(id ?? '', /^(?!5+$)[0-9a-f]{32}$/)
    else assert.equal(id, null)
  })
}
