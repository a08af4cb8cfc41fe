/**
 * Two runs of the real engine on a real disk, whose target stands in a file elsewhere: `power-writer.ts STATE VALUES CUT
 * DEVICE_FOLDER`. At its CUTth step (an operation on the disk, or a change of the target) the power of the file system
 * that holds DEVICE_FOLDER goes, and this process with it. With CUT 0 it goes through and prints how many steps there are.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { nodeDisk } from '../../src/journal/disk.ts'
import { watched } from '../fakes/disk.ts'
import { fakeExperiment } from '../fakes/agent.ts'
import { runOn, WatchedWorld } from './disk-world.ts'

const [state = '', values = '', cut = '', folder = ''] = process.argv.slice(2)
/** EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN; flag 2: not even the file system's own log is written. */
const SHUTDOWN = 'open(my $f, "<", $ARGV[0]) or die; my $v = pack("L", 2); ioctl($f, 0x8004587d, $v) or die "ioctl: $!"'

let steps = 0
const step = (): void => {
  if (++steps !== Number(cut)) return
  const { status, stderr } = spawnSync('perl', ['-e', SHUTDOWN, folder])
  if (status !== 0) console.error(String(stderr))
  process.kill(process.pid, status === 0 ? 'SIGKILL' : 'SIGABRT')
}
const world = new WatchedWorld(JSON.parse(readFileSync(values, 'utf8')) as Record<string, string>)
world.look = () => {
  writeFileSync(`${values}.tmp`, JSON.stringify(world.state))
  renameSync(`${values}.tmp`, values)
  step()
}
const disk = watched(nodeDisk, (op) => {
  if (!['open', 'read', 'size', 'list', 'readFile', 'close'].includes(op)) step()
})

await runOn(disk, world, 'r1', fakeExperiment([{ params: { keys: ['a', 'b', 'c'] } }]), state)
const parallel = fakeExperiment(
  ['d', 'e', 'a'].map((key) => ({ params: { keys: [key] } })),
  { parallel: true },
)
await runOn(disk, world, 'r2', parallel, state)
console.log(steps)
