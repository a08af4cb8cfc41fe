/** A machine that was cloned with a run in progress has the same host name, the same state folder and the same sockets. */
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Shops, soaking } from './shops.ts'

const noClone = process.getuid?.() !== 0 && 'needs root to mount another machine id'

const shops = new Shops()
const { chaos } = shops
after(() => shops.end())

test(
  'the fault of an application is not undone from a clone with another machine id, and is from the machine itself',
  { skip: noClone, timeout: 5 * 60_000 },
  async () => {
    const shop = await shops.start('one')
    chaos.through = onMachine('1')
    const run = chaos.start(['run', shops.file(), '--json'])
    await soaking(run)
    shops.signalAll(run, 'SIGKILL')
    await run.exit
    chaos.through = onMachine('5')
    const cloned = await chaos.run(['recover'])
    assert.equal(cloned.code, 4, cloned.out + cloned.err)
    assert.match(cloned.out + cloned.err, /is not the system that run \S+ changed: machine_id differ/)
    assert.equal(readdirSync(join(chaos.state, 'journal')).length, 1)
    chaos.through = onMachine('1')
    const recovered = await chaos.run(['recover'])
    assert.equal(recovered.code, 0, recovered.out + recovered.err)
    await shops.assertNothingLeft()
    await shop.healthy()
  },
)

/**
 * What runs a command where the machine id is this digit, 32 times, and all else is as here. The folders are bound one by one,
 * without what says that this machine is a container (in the root and in /run): a container has no machine id.
 */
function onMachine(digit: string): string[] {
  const root = join(chaos.dir, 'machine')
  mkdirSync(root, { recursive: true })
  const script = `
    set -e
    root=$1 id=$2
    shift 2
    mount -t tmpfs -o mode=755 machine "$root"
    for one in /*; do
      if [ -L "$one" ]; then cp -a "$one" "$root$one"; continue; fi
      [ -d "$one" ] || continue
      mkdir "$root$one"
      case $one in
        /run) ;;
        /etc) cp -a /etc/. "$root/etc"; rm -f "$root/etc/machine-id"; echo "$id" > "$root/etc/machine-id" ;;
        /proc | /dev | /sys) mount --rbind "$one" "$root$one" ;;
        *) mount --bind "$one" "$root$one" ;;
      esac
    done
    exec chroot "$root" "$@"`
  return ['unshare', '--mount', 'sh', '-c', script, 'sh', root, digit.repeat(32)]
}
