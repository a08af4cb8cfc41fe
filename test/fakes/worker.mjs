/**
 * A worker that does what its experiment's target_config says, without any target: `{ do: … }` for a run, and
 * `{ recover: … }` for its recovery. What it was asked for stands in `<state>/log`, a line each. Plain JavaScript, so
 * that many can be started quickly; it knows of a journal only how to leave one.
 */
import { appendFileSync, existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { crc32 } from 'node:zlib'

const waiting = []
const inbox = []
process.on('message', (message) => {
  const next = waiting.shift()
  if (next) next(message)
  else inbox.push(message)
})
process.on('disconnect', () => process.exit(1))
process.on('SIGTERM', () => undefined)

const receive = () => (inbox.length > 0 ? inbox.shift() : new Promise((resolve) => waiting.push(resolve)))
const send = (message) => new Promise((resolve) => process.send(message, resolve))

const { job } = await receive()
const log = (text) => appendFileSync(join(job.state_dir, 'log'), `${text}\n`)
const exists = (name) => existsSync(join(job.state_dir, name))
const journal = join(job.state_dir, 'journal', `${job.run}.jsonl`)
const secret = join(job.state_dir, 'secrets', job.run)
const until = async (holds) => {
  while (!holds()) await sleep(10)
}

log(`${job.kind} ${process.pid}`)
await (job.kind === 'recover' ? recover(job.target_configs[0]) : run(job.experiment.target_config))
process.exit(0)

async function recover(orders) {
  if (orders.recover === 'fail') {
    await send({ type: 'failed', error: { code: 'TARGET_UNREACHABLE', message: 'the target is away' } })
    return
  }
  if (orders.recover === 'leave residue') {
    const residue = [{ step: 1, resource: 'r', describe: '', error: 'still in effect' }]
    await done({ recovered: true, residue, exit_code: 4 })
    return
  }
  if (orders.recover === 'hang until told') {
    writeFileSync(join(job.state_dir, 'hangs'), '')
    await until(() => exists('go'))
  }
  forget()
  log('recovered')
  await done({ recovered: true })
}

async function run(orders) {
  switch (orders.do) {
    case 'die':
      process.exit(7)
      break
    case 'break and die':
      leaveJournal(orders)
      process.kill(process.pid, 'SIGKILL')
      await sleep(60_000)
      break
    case 'finish and die': {
      const report = reportOf({ reason: 'written before it died' })
      writeFileSync(join(job.state_dir, 'history', `${job.run}.json`), JSON.stringify(report))
      process.exit(7)
      break
    }
    case 'break and say 5':
      leaveJournal(orders)
      await done({ exit_code: 5 })
      break
    case 'hold a claim': {
      const scopes = { server: orders.url, database: orders.url, resource: orders.url }
      const places = [{ place: '', endpoint: orders.url, identity: { scopes, parts: { id: orders.url } } }]
      await send({ type: 'claim', keys: [orders.key ?? 'key'], places })
      const answer = await receive()
      log(`answer ${JSON.stringify(answer)}`)
      if (answer.type === 'claimed' && !answer.waited) await until(() => exists('go'))
      await done({})
      break
    }
    case 'obey':
      leaveJournal(orders)
      log('obeys')
      await receive()
      forget()
      await done({ outcome: 'aborted' })
      break
    case 'never obey':
      leaveJournal(orders)
      log('does not obey')
      await sleep(60_000)
      break
    default:
      await done({})
  }
}

/** Of a run with one step that was planned. */
function leaveJournal(orders) {
  const { url } = orders
  const at = new Date().toISOString()
  const identity = { scopes: { server: url, database: url, resource: url }, parts: { id: url } }
  const records = [
    {
      ...{ type: 'run.started', format: 1, run: job.run, install: 'aaaaaa', experiment: 'e', target: 'fake', at },
      ...{ endpoint: url, definition: {}, seed: 's', identity, soak_ms: 0, notes: [] },
    },
    {
      ...{ type: 'step.planned', step: 1, skill: 's', version: 1, resource: 'r', touches: ['r'], at },
      ...{ describe: '', mark: '', data: {} },
    },
  ]
  let prev = '00000000'
  let text = ''
  for (const [i, record] of records.entries()) {
    const json = JSON.stringify(record)
    const head = `${Buffer.byteLength(json)} ${prev} `
    prev = crc32(json, crc32(`${head}${i + 1} `))
      .toString(16)
      .padStart(8, '0')
    text += `${head}${prev} ${i + 1} ${json}\n`
  }
  writeFileSync(secret, JSON.stringify(orders))
  writeFileSync(journal, text)
}

function forget() {
  rmSync(secret, { force: true })
  rmSync(journal, { force: true })
}

async function done(more) {
  await send({ type: 'done', result: { kind: 'report', report: reportOf(more) } })
}

function reportOf(more) {
  const now = new Date().toISOString()
  return {
    ...{ run: job.run, experiment: 'e', target: 'fake', endpoint: 'x', seed: 's', outcome: 'completed' },
    ...{ recovered: false, started_at: now, finished_at: now, soak_ms: 0, residue: [], steps: [], notes: [] },
    exit_code: 0,
    ...more,
  }
}
