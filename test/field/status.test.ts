/** S2 and S3: who does not answer is not healthy, and what is in place is not clean. On a daemon with a fault in its soak. */
import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { Client } from 'pg'
import { Chaos } from '../e2e/chaos.ts'
import type { Running } from '../e2e/chaos.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'

const NAME = 'long'

describe('what status says', { timeout: 10 * 60_000 }, () => {
  let server: Postgres
  let chaos: Chaos
  let daemon: Running

  before(async () => void (server = await startPostgres()))
  after(() => server.stop())
  beforeEach(async () => {
    await server.sql('drop table if exists things; create table things (id serial primary key, label text)')
    await server.sql('insert into things (label) select i::text from generate_series(1, 20) i')
    chaos = new Chaos()
    daemon = chaos.start(['daemon', config(), '--json'])
    await daemon.until((event) => event.type === 'daemon.ready')
    await chaos.run(['run-now', NAME])
    await daemon.until((event) => event.type === 'run.phase' && event.phase === 'soak')
  })
  afterEach(async () => {
    daemon.child.kill('SIGCONT')
    daemon.child.kill('SIGTERM')
    await daemon.exit
    chaos.remove()
  })

  const config = (): string =>
    chaos.config({
      experiments: [
        {
          schedule: '0 0 3 1 1 *',
          experiment: {
            ...{ name: NAME, target: 'database', target_config: { connection_url: server.url() }, duration: '10m' },
            skills: [{ skill_name: 'db.insert_load', params: { tables: ['things'], rows_per_table: 30 } }],
          },
        },
      ],
    })
  const rows = async (): Promise<number> => (await server.sql('select 1 from things')).length

  test('S3: in the soak it names the faults in place and is healthy; killed, it is not', async () => {
    const soaking = await chaos.run(['status'])
    assert.deepEqual([soaking.code, /^1 fault in place$/m.test(soaking.out)], [0, true], soaking.out)
    assert.doesNotMatch(soaking.out, /nothing is left to undo/)
    const told = JSON.parse((await chaos.run(['status', '--json'])).out) as Record<string, unknown>
    assert.deepEqual([told['faults_in_place'], told['exit_code']], [1, 0])

    daemon.child.kill('SIGKILL')
    for (const { pid } of chaos.holder()?.workers ?? []) process.kill(pid, 'SIGKILL')
    await daemon.exit
    const dead = await chaos.run(['status'])
    assert.equal(dead.code, 4, dead.out)
    assert.match(dead.out, /no daemon is up[^]*not undone: .*chaos recover undoes/)
    assert.equal((await chaos.run(['recover'])).code, 0)
    assert.equal(await rows(), 20)
  })

  test('S3: while it stops and its undo waits, it is not healthy', async () => {
    const holding = new Client({ connectionString: server.url() })
    await holding.connect()
    await holding.query('begin; lock table things in access exclusive mode')
    daemon.child.kill('SIGTERM')
    await daemon.until((event) => event.type === 'daemon.stopping')
    const { code, out } = await chaos.run(['status'])
    assert.deepEqual([code, /stopping: SIGTERM/.test(out), /nothing is left to undo/.test(out)], [4, true, false], out)
    await holding.end()
    await daemon.exit
    assert.equal(await rows(), 20)
  })

  test('S2: a stopped daemon answers nobody, does nothing that was given up, and obeys a freeze when it goes on', async () => {
    daemon.child.kill('SIGSTOP')
    const ask = async (...args: string[]) => {
      const { code, out, err } = await chaos.run(args)
      return [code, `${out}${err}`] as const
    }
    const [status, stop, reload, abort, runNow] = await Promise.all([
      ask('status'),
      ask('stop'),
      ask('reload'),
      ask('abort', NAME),
      ask('run-now', NAME),
    ])
    assert.equal(status[0], 4, status[1])
    assert.match(status[1], /does not answer[^]*process is stopped[^]*1 fault in place/)
    assert.deepEqual([stop[0], reload[0], abort[0], runNow[0]], [1, 1, 1, 1])
    for (const [, said] of [stop, reload, abort, runNow]) assert.match(said, /nobody answers/)
    const [code, said] = await ask('freeze', 'enough')
    assert.deepEqual([code, /obeyed as soon as the daemon goes on/.test(said)], [4, true], said)
    assert.match(said, /1 fault is in place, and not undone by this/)

    daemon.child.kill('SIGCONT')
    await daemon.until((event) => event.type === 'daemon.frozen' && event.reason === 'enough')
    await daemon.until((event) => event.type === 'run.finished')
    assert.equal(await rows(), 20)
    const { out } = await chaos.run(['status'])
    assert.match(out, /is up[^]*frozen since .*enough[^]*nothing is left to undo/)
    daemon.child.kill('SIGTERM')
    const end = await daemon.exit
    assert.equal(end.code, 0)
    assert.doesNotMatch(end.out, /daemon\.reloaded/)
    assert.match(end.out, /frozen: enough/)
  })
})
