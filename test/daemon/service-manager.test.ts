/** What systemd is told, when, and when it is not told that the daemon is alive. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { DaemonEvent } from '../../src/core/events.ts'
import { serviceManager } from '../../src/daemon/service-manager.ts'
import type { ServiceManager } from '../../src/daemon/service-manager.ts'
import { until } from '../fakes/clock.ts'

const at = '2026-01-02T03:04:05.000Z'
const NOTIFY = { NOTIFY_SOCKET: '/run/systemd/notify' }

interface Rig {
  manager: ServiceManager
  messages: string[]
  warnings: string[]
  healthy: { is: boolean; asked: number }
}

function rig(t: TestContext, env: NodeJS.ProcessEnv, fails = false): Rig {
  const [messages, warnings]: string[][] = [[], []]
  const healthy = { is: true, asked: 0 }
  const manager = serviceManager({
    env,
    healthy: () => {
      healthy.asked += 1
      return Promise.resolve(healthy.is)
    },
    warn: (message) => warnings!.push(message),
    send: async (assignments) => {
      await sleep(1)
      if (fails) throw new Error('no')
      messages!.push(assignments.join(' ').replace(/\d{6,}/, 'N'))
    },
  })
  t.after(() => manager.close())
  return { manager, messages: messages!, warnings: warnings!, healthy }
}

const event = (e: object): DaemonEvent => ({ at, ...e }) as DaemonEvent

test('ready, reloads and the stop are told in order, each with a line for people', async (t) => {
  const { manager, messages } = rig(t, NOTIFY)
  const told: object[] = [
    { type: 'recovery.finished', clean: 1, pending: 1 },
    { type: 'daemon.ready' },
    { type: 'run.started', run: 'r', experiment: 'nightly' },
    { type: 'run.phase', run: 'r', phase: 'soak' },
    { type: 'daemon.stopping', reason: 'SIGTERM' },
  ]
  for (const one of told) {
    manager.sink(event(one))
    await sleep(20)
  }
  manager.reloading()
  manager.sink(event({ type: 'daemon.reload_failed', file: 'c.yaml', problem: '' }))
  await manager.close()
  assert.deepEqual(messages, [
    'STATUS=1 run not undone, waiting for the next run',
    'READY=1 STATUS=1 run not undone, waiting for the next run',
    'STATUS=1 run not undone, nightly: connect',
    'STATUS=1 run not undone, nightly: soak',
    'STOPPING=1 STATUS=stopping (SIGTERM); what is running is being undone',
    'RELOADING=1 MONOTONIC_USEC=N',
    'READY=1 STATUS=c.yaml is not used, the configuration before stays',
  ])
})

test('of a hundred changes while a message is sent only the newest is told, and events never wait', async (t) => {
  const { manager, messages } = rig(t, NOTIFY)
  manager.sink(event({ type: 'daemon.ready' }))
  for (let i = 0; i < 100; i++) manager.sink(event({ type: 'run.started', run: 'r', experiment: `e${i}` }))
  assert.deepEqual(messages, [])
  await manager.close()
  assert.deepEqual(messages, ['READY=1 STATUS=waiting for the next run', 'STATUS=e99: connect'])
})

test('signs of life come at half of the time allowed, and only while the daemon is healthy', async (t) => {
  const { messages, healthy } = rig(t, { ...NOTIFY, WATCHDOG_USEC: '40000', WATCHDOG_PID: String(process.pid) })
  await until(() => messages.length >= 3, 'no signs of life')
  assert.deepEqual([...new Set(messages)], ['WATCHDOG=1'])
  healthy.is = false
  await sleep(50)
  const [asked, told] = [healthy.asked, messages.length]
  await until(() => healthy.asked >= asked + 3, 'it is not asked any more')
  assert.equal(messages.length, told)
})

test('without a socket, or with the watchdog of another process, there is nothing', async (t) => {
  for (const env of [{}, { NOTIFY_SOCKET: '' }, { WATCHDOG_USEC: '20000' }]) {
    const { manager, messages, healthy } = rig(t, env)
    manager.sink(event({ type: 'daemon.ready' }))
    manager.reloading()
    await sleep(50)
    assert.deepEqual([messages, healthy.asked], [[], 0])
  }
  const { healthy } = rig(t, { ...NOTIFY, WATCHDOG_USEC: '20000', WATCHDOG_PID: '1' })
  await sleep(50)
  assert.equal(healthy.asked, 0)
})

test('messages that cannot be sent are one warning, and no failure', async (t) => {
  const { manager, warnings } = rig(t, NOTIFY, true)
  for (const type of ['daemon.ready', 'daemon.reloaded', 'daemon.stopping']) {
    manager.sink(event({ type, reason: 'SIGTERM' }))
    await sleep(10)
  }
  await manager.close()
  assert.deepEqual(warnings, ['the service manager is not told: no'])
})

test('where there is no systemd-notify that is a warning too', async (t) => {
  const warnings: string[] = []
  const manager = serviceManager({
    env: { ...NOTIFY, PATH: '/nowhere' },
    healthy: () => Promise.resolve(true),
    warn: (message) => warnings.push(message),
  })
  t.after(() => manager.close())
  manager.sink(event({ type: 'daemon.ready' }))
  await manager.close()
  assert.match(warnings.join(), /systemd-notify/)
})
