/**
 * F7: what others say comes out as text at every place where the product says something: no control, no forged line, valid
 * syntax, bounded. Places are found in the code, so that a new one cannot be forgotten.
 */
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { parse as parseYaml } from 'yaml'
import { writeByHand } from '../src/cli/recover/by-hand.ts'
import type { Context } from '../src/cli/context.ts'
import { freeze, trust, abort } from '../src/cli/controls/controls.ts'
import { digest } from '../src/cli/digest.ts'
import { firstConfig } from '../src/cli/init/first-config.ts'
import { formatCalendar } from '../src/cli/schedule/ics.ts'
import { pageLines } from '../src/cli/recover/page.ts'
import { runProgram } from '../src/cli/program.ts'
import { recover } from '../src/cli/recover/recover.ts'
import { report } from '../src/cli/report.ts'
import { daemonLines } from '../src/cli/controls/status-lines.ts'
import { status } from '../src/cli/controls/status.ts'
import { systemClock } from '../src/core/clock.ts'
import { TargetError } from '../src/core/errors.ts'
import { shown } from '../src/core/foreign.ts'
import { TEMPLATES } from '../src/core/notify.ts'
import { serveControl } from '../src/daemon/control/server.ts'
import { serviceManager } from '../src/daemon/service-manager.ts'
import type { StuckRun } from '../src/engine/stuck.ts'
import { FileJournal } from '../src/journal/file-journal.ts'
import { openFiredLog } from '../src/mcp/fired-log.ts'
import { command } from '../src/observe/command.ts'
import { healthApp } from '../src/observe/health.ts'
import { logSink } from '../src/observe/log.ts'
import { notificationOf } from '../src/observe/message.ts'
import { makeMetrics } from '../src/observe/metrics/index.ts'
import { ndjson } from '../src/observe/ndjson.ts'
import { progress } from '../src/observe/progress.ts'
import { bodyOf } from '../src/observe/templates.ts'
import { remark } from '../src/targets/database/postgres/by-hand/psql.ts'
import { folder, lock } from './supervisor/helpers.ts'
import { eventsWith, HOSTILE, noteWith, RAW, reportWith, statusWith } from './fakes/hostile-texts.ts'
import { fakeDatabase } from './fakes/config-target.ts'
import { planned, started } from './journal/helpers.ts'
import { hook, note } from './observe/notifications.ts'

interface SinkCase {
  /** All that comes out for this text. */
  say(text: string, t: TestContext): string | Promise<string>
  /** Whether what came out is what a reader of it takes. */
  valid?(said: string, text: string): void
  /** What it writes down must stay exactly what it is: no bound of its own. */
  exact?: true
  /** Of texts that are bounded before they are stored. */
  stored?: true
}

const at = '2026-01-02T03:04:05.000Z'
const all = (text: string) => Object.values(eventsWith(text))

/** Strings within plain data, keys included. */
function stringsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, one]) => [key, ...stringsIn(one)])
}

function jsonLines(said: string): void {
  for (const line of said.split('\n').filter((one) => one !== '')) JSON.parse(line)
}

/** What a receiver decodes and shows is text too. */
function decoded(said: string): void {
  for (const text of stringsIn(JSON.parse(said))) assert.deepEqual(text.match(RAW), null)
}

const LIMITS_OF_SLACK = { header: 150, section: 3_000, context: 2_000 }

function slackMessage(said: string): void {
  decoded(said)
  const { text, blocks } = JSON.parse(said) as {
    text: string
    blocks: { type: keyof typeof LIMITS_OF_SLACK; text?: SlackText; elements?: SlackText[] }[]
  }
  assert.ok(text.length <= 3_100)
  assert.doesNotMatch(text, /[<>]/)
  for (const { type, ...block } of blocks)
    for (const one of [...(block.text ? [block.text] : []), ...(block.elements ?? [])]) {
      assert.equal(one.type, 'plain_text', 'in which neither *, ` nor @channel means anything')
      assert.ok(one.text.length > 0 && one.text.length <= LIMITS_OF_SLACK[type], `${type}: ${one.text.length}`)
      assert.doesNotMatch(one.text, /[<>]|&(?!amp;|lt;|gt;)/)
    }
}

interface SlackText {
  type: string
  text: string
}

function pagerDutyEvent(said: string): void {
  decoded(said)
  assert.ok(Buffer.byteLength(said) < 512 * 1_024, 'PagerDuty takes no more')
  const { dedup_key: key, payload } = JSON.parse(said) as { dedup_key: string; payload: Record<string, string> }
  assert.ok(key.length <= 255)
  for (const name of ['summary', 'source', 'component']) assert.ok((payload[name]?.length ?? 0) <= 1_024, name)
}

const PROPERTIES =
  /^(?:(?:BEGIN|END):V(?:CALENDAR|EVENT)|(?:VERSION|PRODID|CALSCALE|UID|DTSTAMP|DTSTART|DTEND|SUMMARY|DESCRIPTION|STATUS|TRANSP):.*)$/

function calendar(said: string): void {
  assert.ok(said.endsWith('\r\n'))
  const lines = said.slice(0, -2).split('\r\n')
  for (const line of lines) assert.ok(Buffer.byteLength(line) <= 75 && !/[\r\n]/.test(line), JSON.stringify(line))
  const unfolded = lines.join('\r\n').replaceAll('\r\n ', '').split('\r\n')
  for (const line of unfolded) assert.match(line, PROPERTIES)
  assert.equal(unfolded.filter((line) => line === 'BEGIN:VEVENT').length, 1)
}

function prometheus(said: string): void {
  for (const line of said.split('\n').filter((one) => one !== '' && !one.startsWith('#')))
    assert.match(line, /^\w+(?:\{(?:\w+="(?:\\[\\n"]|[^"\\\n])*",?)+\})? [-+.\dA-Za-z]+$/)
}

/** A state folder with a report and an open run that hold the text, and what a command says about it. */
async function about(
  text: string,
  t: TestContext,
  ask: (context: Context, stateDir: string) => Promise<unknown>,
  daemon?: (op: string) => unknown,
): Promise<string> {
  const stateDir = folder(t)
  for (const name of ['history', 'journal']) mkdirSync(join(stateDir, name), { mode: 0o700 })
  const finished_at = new Date(Date.now() - 1_000).toISOString()
  writeFileSync(
    join(stateDir, 'history', 'r1.json'),
    JSON.stringify({ ...reportWith(text), started_at: finished_at, finished_at }),
    { mode: 0o600 },
  )
  const journal = await FileJournal.create(join(stateDir, 'journal', 'r2.jsonl'))
  const identity = { scopes: { server: 'one', database: 'one', resource: 'one' }, parts: { id: text } }
  await journal.append(started({ run: 'r2', experiment: text, endpoint: text, notes: [text], identity }))
  await journal.append({ ...planned(1), resource: text, describe: text, mark: 'chaos-abcdef-r2-1' })
  await journal.append({ type: 'step.revert_failed', step: 1, error: text }, { durable: true })
  await journal.close()
  if (daemon) {
    const held = await lock(stateDir)
    const server = await serveControl(join(stateDir, 'control.sock'), ({ op }) => Promise.resolve(daemon(op)))
    await held.setControl(server.path)
    t.after(async () => {
      await server.close()
      await held.release()
    })
  }
  const { context, said } = contextOf()
  await ask(context, stateDir)
  // What is of this moment or this folder is no text of others.
  return said().replaceAll(stateDir, 'DIR')
}

function contextOf(targets: Context['targets'] = () => Promise.resolve([fakeDatabase()])) {
  let text = ''
  const out = (more: string): void => void (text += more)
  const context: Context = { targets, ...{ main: '', version: '', env: {}, tty: false }, out, err: out }
  return { context, said: () => text }
}

function stuck(text: string): StuckRun {
  const by_hand = { lines: ['echo undone'], holdsValues: false }
  const step = { skill: text, resource: text, describe: text, since: at, error: text, failed_at: at, by_hand }
  return {
    ...{ run: text, experiment: text, endpoint: text, identity: { [text]: text }, journal: text },
    steps: [
      { ...step, step: 2, quarantined: false },
      { ...step, step: 1, quarantined: false, waits_for: 2 },
    ],
  }
}

async function http(text: string, path: string): Promise<string> {
  const now = () => ({ ...statusWith(text), stopping: text })
  const metrics = makeMetrics()
  const app = healthApp({ host: '127.0.0.1', status: now, metrics, canWrite: () => Promise.reject(new Error(text)) })
  const answer = await app.request(path, { headers: { host: 'localhost' } })
  return answer.text()
}

const SINKS: Record<string, SinkCase> = {
  'lines for people': { say: (text) => lines(text, false) },
  'lines on a terminal': { say: (text) => lines(text, true) },
  'the log': {
    say(text) {
      let said = ''
      const sink = logSink({ level: 'trace', version: '1', install: 'a', write: (line) => (said += line) })
      for (const event of all(text)) sink(event)
      return said.replaceAll(/"pid":\d+/g, '')
    },
  },
  ndjson: {
    say(text) {
      let said = ''
      const sink = ndjson((line) => (said += line))
      for (const event of all(text)) sink(event)
      return said
    },
    valid: jsonLines,
  },
  metrics: {
    async say(text) {
      const metrics = makeMetrics()
      for (const event of all(text)) metrics.sink(event)
      const said = await metrics.text(statusWith(text))
      return said.replaceAll(/^(?:process|nodejs)_.*$/gm, '')
    },
    valid: prometheus,
  },
  'the service manager': {
    async say(text) {
      const said: string[] = []
      const manager = serviceManager({
        ...{
          env: { NOTIFY_SOCKET: '/x' },
          healthy: () => Promise.resolve(true),
          warn: (message) => said.push(message),
        },
        send: (assignments) => Promise.resolve(void said.push(...assignments)),
      })
      for (const event of all(text)) {
        manager.sink(event)
        await manager.close()
      }
      return said.join('\n')
    },
    valid: (said) => {
      for (const line of said.split('\n')) assert.match(line, /^(?:STATUS|READY|STOPPING)=/)
    },
  },
  'a command that is told': {
    async say(text, t) {
      const file = join(folder(t), 'told')
      const deliver = command({ on: [], command: ['/bin/sh', '-c', `cat >> ${file}`] }, process.env, systemClock)
      assert.deepEqual(await deliver(noteWith(text), t.signal), { delivered: true })
      return readFileSync(file, 'utf8')
    },
    valid: decoded,
  },
  'health: /status': { say: (text) => http(text, '/status'), valid: jsonLines },
  'health: /readyz': { say: (text) => http(text, '/readyz'), valid: jsonLines },
  'health: /metrics': {
    say: async (text) => (await http(text, '/metrics')).replaceAll(/^(?:process|nodejs)_.*$/gm, ''),
    valid: prometheus,
  },
  'a calendar file': {
    say(text) {
      const event = { uid: text, from: 0, to: 1, summary: text, description: text, cancelled: false }
      return formatCalendar([event], 0)
    },
    valid: calendar,
  },
  'a first configuration': {
    say: (text) => {
      const suggestion = { name: 'first', comment: text, skill: 'db.insert_load', duration: '5m', enabled: true }
      const from = { target: 'database', targetConfig: {}, schedule: '0 0 2 * * *', allow: [] }
      const experiments = [{ suggestion, params: { tables: [text] } }]
      // The name of a table, which stands in it as it is; comments may have lines.
      return firstConfig({ ...from, head: [text], tail: [text], experiments }).replaceAll(/^ *(?:#.*)?\n/gm, '')
    },
    valid(said, text) {
      const { experiments } = parseYaml(said) as { experiments: { experiment: { skills: { params: unknown }[] } }[] }
      assert.deepEqual(experiments[0]?.experiment.skills[0]?.params, { tables: [text.replaceAll('${', () => '$${')] })
    },
    exact: true,
  },
  'the page of a run': { say: (text) => pageLines(stuck(text), undefined).join('\n') },
  'a script of commands by hand': {
    async say(text, t) {
      const file = join(folder(t), 'undo.sh')
      await writeByHand(contextOf().context, file, stuck(text), undefined)
      return readFileSync(file, 'utf8')
    },
    valid: (said) => {
      for (const line of said.split('\n')) assert.match(line, /^(?:#.*|echo undone|)$/)
    },
  },
  'a remark among commands': { say: remark, valid: (said) => assert.match(said, /^# .*$/) },
  'a running daemon, in status': { say: (text) => daemonLines(statusWith(text)).join('\n') },
  status: { stored: true, say: (text, t) => about(text, t, (context, stateDir) => status(context, { stateDir })) },
  report: {
    stored: true,
    say: (text, t) => about(text, t, (context, stateDir) => report(context, 'r1', { stateDir })),
  },
  'report --list': {
    ...{
      stored: true,
      say: (text, t) => about(text, t, (context, stateDir) => report(context, undefined, { stateDir })),
    },
  },
  digest: { stored: true, say: (text, t) => about(text, t, (context, stateDir) => digest(context, { stateDir })) },
  'recover --dry-run': {
    ...{
      stored: true,
      say: (text, t) => about(text, t, (context, stateDir) => recover(context, { stateDir, dryRun: true })),
    },
  },
  'recover, asked of a daemon': {
    stored: true,
    say: (text, t) =>
      about(
        text,
        t,
        (context, stateDir) => recover(context, { stateDir }),
        () => ({ recovered: [reportWith(text)], pending: statusWith(text).blocked }),
      ),
  },
  'trust, abort and freeze': {
    stored: true,
    say: (text, t) =>
      about(
        text,
        t,
        async (context, stateDir) => {
          await trust(context, undefined, { stateDir })
          await abort(context, 'r1', { stateDir })
          await freeze(context, text, { stateDir })
        },
        (op) =>
          op === 'status' ? statusWith(text) : op === 'abort' ? reportWith(text) : { ended: [text], pending: 1 },
      ),
  },
  'an error of a target': {
    async say(text) {
      const { context, said } = contextOf(() => Promise.reject(new TargetError('TARGET_FAILED', text)))
      assert.equal(await runProgram(['list-skills'], context), 1)
      return said()
    },
    exact: true,
  },
  'the log of a proxy': {
    async say(text, t) {
      const file = join(folder(t), 'fired')
      const log = openFiredLog(file, () => undefined)
      log.started(text)
      log.fired({ component: text, call: 1, fault: { fault_type: 'error' }, error: new Error(text) } as never)
      await log.end()
      return readFileSync(file, 'utf8')
    },
    valid: jsonLines,
  },
}

/** Of every form that there is: each notification that an event becomes, and one that is as bad as can be. */
for (const template of TEMPLATES) {
  const sink = hook('https://hooks.example/T1', { template, routing_key: 'R1' })
  const valid = { json: decoded, slack: slackMessage, pagerduty: pagerDutyEvent }[template]
  SINKS[`a webhook: ${template}`] = { say: (text) => bodyOf(noteWith(text), sink), valid }
  for (const type of Object.keys(eventsWith(''))) {
    const messageOf = (text: string) =>
      notificationOf(eventsWith(text)[type as keyof ReturnType<typeof eventsWith>], {
        experiment: text,
        endpoint: text,
      })
    if (!messageOf('x')) continue
    SINKS[`a webhook: ${template} of ${type}`] = {
      say: (text) => bodyOf({ ...note(), ...messageOf(text) }, sink),
      valid,
    }
  }
}

function lines(text: string, tty: boolean): string {
  let said = ''
  // So wide that no line is broken.
  const sink = progress({
    write: (more) => (said += more),
    screen: { tty, env: { TERM: 'dumb' }, columns: 10_000_000 },
  })
  for (const event of all(text)) sink(event)
  return said
}

/** As often as with a text that means nothing: what is our own is there in both. */
const count = (said: string, what: RegExp): number => said.match(what)?.length ?? 0

for (const [sink, { say, valid, exact, stored }] of Object.entries(SINKS)) {
  describe(`F7: a text of others, in ${sink}`, () => {
    let calm: string | undefined
    for (const [kind, hostile] of Object.entries(HOSTILE)) {
      test(kind, async (t) => {
        const text = stored ? hostile.slice(0, 4_000) : hostile
        calm ??= await say('harmless', t)
        const said = await say(text, t)
        assert.equal(
          count(said.replaceAll('\r\n', '\n'), RAW),
          count(calm.replaceAll('\r\n', '\n'), RAW),
          excerpt(said),
        )
        if (sink !== 'a calendar file') assert.equal(count(said, /\n/g), count(calm, /\n/g), 'no line of its own')
        // Columns are as wide as their widest cell.
        const most = calm.length + count(calm, /harmless/g) * 4 * 10_000
        assert.ok(exact ?? said.length <= most, `${said.length} characters, at most ${most}`)
        valid?.(said, text)
      })
    }
  })
}

function excerpt(said: string): string {
  const place = said.search(RAW)
  return JSON.stringify(said.slice(Math.max(0, place - 40), place + 40))
}

test('F7: the last net lets our own colours and lines pass, and nothing else', () => {
  assert.equal(
    shown('\u001b[31mred\u001b[39m\n\t\u001b[2J\u202e\u009b'),
    '\u001b[31mred\u001b[39m\n\t\\u001b[2J\\u202e\\u009b',
  )
})

/** Every file in which something goes out → the sink above that it is tested as, or why no text of others goes out there. */
const BY_FIELD = 'test/field/hostile-texts.test.ts, with a hostile application'
const OWN = 'what the product or its operator has written'
const PROTOCOL = 'bytes of a protocol, which are not for people'
const PLACES: Record<string, string> = {
  'app.ts': 'the last net',
  'cli/controls/controls.ts': 'trust, abort and freeze',
  'cli/controls/status.ts': 'status',
  'cli/controls/stop.ts': OWN,
  'cli/daemon/detach.ts': OWN,
  'cli/daemon/log-file.ts': 'the log',
  'cli/daemon/output.ts': 'the log',
  'cli/daemon/recover-only.ts': 'lines for people',
  'cli/daemon/service.ts': OWN,
  'cli/digest.ts': 'digest',
  'cli/discover.ts': BY_FIELD,
  'cli/failed.ts': 'an error of a target',
  'cli/faults/experiment.ts': OWN,
  'cli/faults/inject.ts': OWN,
  'cli/faults/mcp-proxy.ts': OWN,
  'cli/init/init.ts': 'a first configuration',
  'cli/init/new-file.ts': 'a first configuration',
  'cli/list-skills.ts': OWN,
  'cli/program.ts': 'an error of a target',
  'cli/recover/accept-loss.ts': OWN,
  'cli/recover/by-hand.ts': 'a script of commands by hand',
  'cli/recover/recover.ts': 'recover --dry-run',
  'cli/recover/stuck-runs.ts': 'the page of a run',
  'cli/report.ts': 'report',
  'cli/run.ts': BY_FIELD,
  'cli/schedule/schedule.ts': 'a calendar file',
  'cli/selftest.ts': OWN,
  'cli/supervised.ts': OWN,
  'cli/sweep.ts': BY_FIELD,
  'cli/validate.ts': OWN,
  'core/target.ts': OWN,
  'daemon/control/client.ts': PROTOCOL,
  'daemon/control/server.ts': PROTOCOL,
  'daemon/pid-file.ts': OWN,
  'daemon/service-manager.ts': 'the service manager',
  'mcp/fired-log.ts': 'the log of a proxy',
  'mcp/http-proxy.ts': PROTOCOL,
  'mcp/outlet.ts': PROTOCOL,
  'mcp/server-process.ts': PROTOCOL,
  'mcp/stdio-proxy.ts': PROTOCOL,
  'observe/command.ts': 'a command that is told',
  'observe/health.ts': 'health: /status',
  'observe/log.ts': 'the log',
  'observe/ndjson.ts': 'ndjson',
  'observe/progress.ts': 'lines for people',
  'observe/webhook.ts': 'a webhook: json',
  'supervisor/lock.ts': OWN,
  'supervisor/worker-process.ts': PROTOCOL,
}

test('F7: every file of src that says something is among the sinks', () => {
  const root = fileURLToPath(new URL('../src/', import.meta.url))
  const found = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .map((name) => name.replaceAll('\\', '/'))
    .filter((path) => /^(?:app\.ts|(?:cli|core|daemon|engine|mcp|observe|schedule|supervisor)\/.*\.ts)$/.test(path))
    .filter((path) =>
      saysSomething(ts.createSourceFile(path, readFileSync(root + path, 'utf8'), ts.ScriptTarget.Latest)),
    )
  assert.deepEqual(found.sort(), Object.keys(PLACES).sort())
  const reasons = new Set([BY_FIELD, OWN, PROTOCOL, 'the last net', ...Object.keys(SINKS)])
  assert.deepEqual(
    Object.entries(PLACES).filter(([, by]) => !reasons.has(by)),
    [],
  )
})

const SAYS =
  /(?:^|\.)(?:write|#write|writeFile|writeSync|out|err|fetch|spawn)$|^(?:c\.(?:json|body)|response\.end|socket\.end|child\.stdin\.end|child\.send)$/

function saysSomething(tree: ts.SourceFile): boolean {
  const visit = (node: ts.Node): boolean =>
    (ts.isCallExpression(node) && SAYS.test(node.expression.getText(tree).replaceAll(/\s|[?!]/g, ''))) ||
    (ts.forEachChild(node, visit) ?? false)
  return visit(tree)
}
