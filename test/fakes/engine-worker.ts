/** A real worker process over the target in memory, whose values stand in a file: `engine-worker.ts VALUES SCRIPT`. */
import { renameSync, writeFileSync } from 'node:fs'
import { workerMain } from '../../src/supervisor/worker.ts'
import { FakeWorld, fakeTarget } from './agent.ts'

const [file = '', script = ''] = process.argv.slice(2)

const world = new FakeWorld()
const save = (): void => {
  writeFileSync(`${file}.tmp`, JSON.stringify({ values: world.state, log: world.log }))
  renameSync(`${file}.tmp`, file)
}
for (const call of ['apply a', 'revert a']) {
  world.on(call, async ({ go }) => {
    await go()
    save()
    if (call === 'apply a' && script === 'throw outside of every promise') {
      setTimeout(() => {
        throw new Error('a bug')
      }, 50)
    }
  })
}
save()
await workerMain([fakeTarget(world)])
process.exit(0)
