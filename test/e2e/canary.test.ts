/** A daemon whose configuration is full of canaries goes through a night in which everything fails: no canary gets out. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Notification } from '../../src/core/notify.ts'
import { Receiver } from '../fakes/receiver.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { Chaos, signal } from './chaos.ts'
import type { Exit, Running } from './chaos.ts'

/** Each in its own place of the configuration, with characters that URLs, JSON and shells write in other ways. */
const CANARY = {
  url: 'canary-url 1/ü?',
  file: 'canary-file-2',
  wrong: 'canary-wrong-3&x',
  path: 'Canary-path-4',
  query: 'canary+query=5',
  secret: 'canary-secret-6 "quoted"',
  header: 'canary-header-7',
  routing: 'canary-routing-8',
}

/** As it is, and as it looks in a URL, in JSON and in base64 (at each of the three places it can begin at). */
function forms(canary: string): string[] {
  const base64 = [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), Buffer.from(canary)]).toString('base64')
    // Without the characters that its neighbours share.
    return text.slice(before === 0 ? 0 : 4, -4)
  })
  return [canary, encodeURIComponent(canary), encodeURI(canary), JSON.stringify(canary).slice(1, -1), ...base64]
}

/** Whole daemons start and end here, on a machine that has other work too. */
async function until(holds: () => boolean, otherwise: string): Promise<void> {
  const end = performance.now() + 120_000
  while (!holds()) {
    if (performance.now() > end) throw new Error(`after two minutes: ${otherwise}`)
    await sleep(20)
  }
}

describe('the canaries', { timeout: 15 * 60_000 }, () => {
  let server: Postgres
  let receiver: Receiver
  let broken: Receiver
  /** Where nobody listens any more. */
  let gone: string
  const chaos = new Chaos()

  before(async () => {
    server = await startPostgres()
    const password = CANARY.url.replaceAll("'", "''")
    await server.sql(`create role staging login password '${password}' superuser;
      create table things (id serial primary key, label text);
      insert into things (label) select i::text from generate_series(1, 20) i`)
    receiver = await new Receiver().start()
    broken = await new Receiver().start()
    broken.answer = { status: 400 }
    const closed = await new Receiver().start()
    gone = closed.url
    await closed.stop()
    writeFileSync(join(chaos.dir, 'password'), `${CANARY.file}\n`)
  })
  after(async () => {
    await receiver.stop()
    await broken.stop()
    await server.stop()
    chaos.remove()
  })

  const withPassword = (password: string): string =>
    server.url('postgres', 'staging').replace('staging@', `staging:${password}@`)
  const config = (): string => {
    const experiment = (name: string, connection_url: string, duration = '500ms') => ({
      name,
      target: 'database',
      target_config: { connection_url },
      skills: [{ skill_name: 'db.insert_load', params: { tables: ['things'], rows_per_table: 20 } }],
      duration,
      schedule: '* * * * * *',
      on_busy: 'skip',
    })
    const away = 'postgres://staging:${file:password}@127.0.0.1:1/shop'
    const hook = { on: ['residue', 'failed', 'skipped', 'recovered', 'digest', 'ineffective', 'blocked'] }
    return chaos.config({
      settings: {
        max_concurrent: 3,
        digest: '* * * * * *',
        notify: [
          { ...hook, webhook: receiver.url, secret: '${SECRET}', headers: { 'X-Key': CANARY.header } },
          { ...hook, webhook: receiver.url, template: 'slack' },
          { ...hook, webhook: receiver.url, template: 'pagerduty', routing_key: CANARY.routing },
          {
            ...hook,
            webhook: `${broken.url}/${CANARY.path}?key=${encodeURIComponent(CANARY.query)}`,
            headers: { Authorization: `Bearer ${CANARY.header}` },
          },
          { ...hook, webhook: `${gone}/${CANARY.path}`, secret: '${SECRET}' },
          { ...hook, command: ['/bin/sh', '-c', 'env >&2; cat "$0" >&2; exit 1', join(chaos.dir, 'password')] },
        ],
      },
      experiments: [experiment('well', '${URL}'), experiment('away', away), experiment('wrong-password', '${WRONG}')],
    })
  }
  const env = (): NodeJS.ProcessEnv => ({
    SECRET: CANARY.secret,
    URL: withPassword(encodeURIComponent(CANARY.url)),
    WRONG: withPassword(encodeURIComponent(CANARY.wrong)).replace('staging:', 'nobody:'),
    CHAOS_LOG_LEVEL: 'debug',
  })

  /** The command lines of a process and its workers. */
  const commandLines = ({ child }: Running): string => {
    const pids = [child.pid, ...(chaos.holder()?.workers ?? []).map((w) => w.pid)]
    return pids
      .map((pid) => {
        try {
          return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
        } catch {
          return ''
        }
      })
      .join('\n')
  }

  /** Nothing, where the daemon has removed it since it was listed. */
  const textOf = (file: string): string => {
    try {
      return readFileSync(file, 'utf8')
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
      throw error
    }
  }

  /** Every file of the state folder but the secrets, each with its name. */
  const files = (): string =>
    readdirSync(chaos.state, { recursive: true, encoding: 'utf8', withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.parentPath.includes('/secrets'))
      .map((entry) => `${entry.name}\n${textOf(join(entry.parentPath, entry.name))}`)
      .join('\n')

  const assertNone = (place: string, text: string): void => {
    for (const [name, canary] of Object.entries(CANARY))
      for (const form of forms(canary)) {
        const where = text.indexOf(form)
        assert.equal(where, -1, `${name} is in ${place}: …${text.slice(Math.max(0, where - 200), where + 100)}`)
      }
  }

  const kinds = (): Set<string> =>
    new Set(
      receiver.got.flatMap(({ body }) => {
        const { kind } = JSON.parse(body) as Partial<Notification>
        return kind === undefined ? [] : [kind]
      }),
    )

  for (const args of [[], ['--json'], ['--pretty']]) {
    test(`no canary is in what a daemon ${args.join('') || 'that logs'} prints, writes, sends or is called with`, async () => {
      receiver.got.length = 0
      const daemon = chaos.start(['daemon', config(), ...args], env())
      const seen: string[] = []
      await until(() => readdirSync(chaos.dir).includes('state'), 'the state folder is there')
      const watching = setInterval(() => seen.push(files(), commandLines(daemon)), 50)
      const wanted = ['failed', 'skipped', 'digest']
      await until(() => wanted.every((kind) => kinds().has(kind)), `all of ${wanted.join(', ')} are told`).finally(() =>
        clearInterval(watching),
      )
      signal(daemon.child.pid, 'SIGTERM')
      const exit: Exit = await daemon.exit
      assert.equal(exit.code, 0, exit.out + exit.err)
      assert.match(exit.out, /not told to webhook http:\/\/127\.0\.0\.1:\d+: .*it answers 400/)
      assert.match(exit.out, /not told to command \/bin\/sh: .*exit code 1: \$\{file:password\}/, 'it said a secret')
      assert.match(exit.out, /refuses the login|cannot connect/)
      assertNone('the output', exit.out)
      assertNone('standard error', exit.err)
      for (const text of [...seen, files()]) assertNone('the state folder or a command line', text)
      // A receiver gets the key that is meant for it, and nothing else.
      const sent = receiver.got.map(({ body }) => body.replaceAll(`"routing_key":"${CANARY.routing}"`, '')).join('\n')
      assertNone('a notification', sent)
      for (const command of ['digest', 'report --last', 'status', 'report --list --json', 'digest --json']) {
        const { out, err } = await chaos.run(command.split(' '))
        assertNone(`chaos ${command}`, out + err)
      }
    })
  }

  test('no canary of an open run gets out when its daemon is killed and the next one undoes it', async () => {
    const first = chaos.start(['daemon', config(), '--json'], env())
    await first.until((e) => e.type === 'run.phase' && e.phase === 'soak')
    first.child.kill('SIGKILL')
    for (const { pid } of chaos.holder()?.workers ?? []) signal(pid, 'SIGKILL')
    await first.exit
    assertNone('the state folder of a dead daemon', files())
    receiver.got.length = 0
    const second = chaos.start(['daemon', config()], env())
    await until(() => kinds().has('recovered'), 'the recovery is told')
    signal(second.child.pid, 'SIGTERM')
    const { code, out, err } = await second.exit
    assert.equal(code, 0, out + err)
    assertNone('its output', out + err)
    assertNone('the state folder', files())
  })

  test('a log level that does not exist ends with 2 and the ones that do', async () => {
    const { code, err } = await chaos.run(['daemon', config()], { ...env(), CHAOS_LOG_LEVEL: 'loud' })
    assert.equal(code, 2)
    assert.match(err, /CHAOS_LOG_LEVEL: must be one of fatal, error, warn, info, debug/)
  })
})
