/** The container image: built from the Dockerfile, run with a read-only root, killed, stopped, and asked for its health. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { Containers, containersMissing } from '../labs/image.ts'
import { diff, snapshot } from '../labs/snapshot.ts'
import type { Snapshot } from '../labs/snapshot.ts'

const IMAGE = 'localhost/chaos-agents:test'
const PATIENCE_MS = 120_000
/** What a machine without the right to raise limits, and with control groups of version 1, still runs. */
const RUN = ['run', '--network', 'host', '--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1024:1024']

describe('the container image', { skip: containersMissing() ?? false, timeout: 20 * 60_000 }, () => {
  const dir = mkdtempSync(join(tmpdir(), 'chaos-container-'))
  let containers: Containers
  let server: Postgres
  let fresh: Snapshot

  before(async () => {
    containers = new Containers()
    await containers.build(IMAGE)
    server = await startPostgres()
    await server.sql(`create table things (id serial primary key, label text);
      insert into things (label) select i::text from generate_series(1, 200) i`)
    fresh = await snapshot(server.url())
    mkdirSync(join(dir, 'etc'))
    writeFileSync(
      join(dir, 'etc/chaos.yaml'),
      `experiments:
  - name: often
    target: database
    target_config: {connection_url: '${server.url()}'}
    skills:
      - {skill_name: db.insert_load, params: {tables: [things], rows_per_table: 500}}
      - {skill_name: db.config_change, params: {changes: [{param: work_mem, value: 5MB}]}}
    duration: 30s
    schedule: '*/5 * * * * *'
`,
    )
  })
  after(async () => {
    await containers.remove()
    await server.stop()
    rmSync(dir, { recursive: true })
  })

  async function start(name: string): Promise<void> {
    const mounts = ['-v', `${join(dir, 'etc')}:/etc/chaos-agents:ro`, '-v', `${name}-state:/var/lib/chaos-agents`]
    await containers.podman(...RUN, '-d', '--name', name, '--read-only', '--tmpfs', '/tmp', ...mounts, IMAGE)
  }

  async function logged(name: string, text: string, since = 0): Promise<void> {
    const end = Date.now() + PATIENCE_MS
    for (;;) {
      const log = await containers.podman('logs', name)
      if (log.slice(since).includes(text)) return
      if (Date.now() > end) throw new Error(`${name} does not say ${text}\n${log}`)
      await sleep(100)
    }
  }

  const stateOf = async (name: string): Promise<string> =>
    (await containers.podman('inspect', '-f', '{{.State.Status}} {{.State.ExitCode}}', name)).trim()
  const SOAK = '"phase":"soak"'

  test('it is not root, has no compiler and no npm configuration in it, and lists its skills', async () => {
    const sh = (script: string): Promise<string> =>
      containers.podman(...RUN, '--rm', '--read-only', '--entrypoint', '', IMAGE, 'sh', '-c', script)
    assert.equal((await sh('id -u')).trim(), '10001')
    assert.equal((await sh('ls /app/node_modules | grep -cx typescript || true')).trim(), '0')
    assert.equal((await sh('find / -xdev -name .npmrc -not -path "*/npm/*" 2>/dev/null | wc -l')).trim(), '0')
    assert.match(await containers.podman(...RUN, '--rm', '--read-only', IMAGE, 'list-skills'), /db\.insert_load/)
  })

  test('with a read-only root it runs what is due; stopped during the soak it undoes, and ends with 0', async (t) => {
    await start('stopped')
    await logged('stopped', SOAK)
    assert.ok(diff(fresh, await snapshot(server.url())).length > 0, 'something is broken during the soak')
    await containers.podman('healthcheck', 'run', 'stopped')
    const begun = performance.now()
    await containers.podman('stop', '-t', '360', 'stopped')
    t.diagnostic(`podman stop during the soak: ${((performance.now() - begun) / 1000).toFixed(1)} s`)
    assert.equal(await stateOf('stopped'), 'exited 0')
    assert.deepEqual(diff(fresh, await snapshot(server.url())), [])
    await containers.podman('rm', 'stopped')
  })

  test('killed during the soak, a new container on the same volume undoes it before it is ready', async (t) => {
    await start('killed')
    await logged('killed', SOAK)
    await containers.podman('kill', '-s', 'KILL', 'killed')
    await containers.podman('wait', 'killed')
    await containers.podman('rm', 'killed')
    assert.ok(diff(fresh, await snapshot(server.url())).length > 0, 'it was killed')
    const begun = performance.now()
    await start('killed')
    await logged('killed', 'daemon.ready')
    t.diagnostic(`from podman run to ready, with the undo: ${((performance.now() - begun) / 1000).toFixed(1)} s`)
    assert.match(await containers.podman('logs', 'killed'), /recovery\.finished[\s\S]*daemon\.ready/)
    await containers.podman('stop', '-t', '360', 'killed')
    assert.deepEqual(diff(fresh, await snapshot(server.url())), [])
  })
})
