import assert from 'node:assert/strict'
import { test } from 'node:test'
import { load, one, problemsOf } from './helpers.ts'

const TOKEN = 'a-token-long-enough'

async function healthOf(settings: string) {
  return (await load(`settings: {${settings}}\n${one()}`)).settings.health
}

async function said(settings: string, env: NodeJS.ProcessEnv = {}) {
  return (await problemsOf(`settings: {${settings}}\n${one()}`, { env })).map((p) => p.message).join('\n')
}

test('without health_bind nothing listens, and a token alone is warned of', async () => {
  const { settings, warnings } = await load(`settings: {health_token: ${TOKEN}}\n${one()}`)
  assert.equal(settings.health, undefined)
  assert.deepEqual(warnings, ['x.yaml:1:26: settings.health_token: is not used: there is no health_bind'])
})

test('an address and a port are read, and a port alone is one of the loopback address', async () => {
  assert.deepEqual(await healthOf('health_bind: 127.0.0.1:9464'), { host: '127.0.0.1', port: 9464 })
  assert.deepEqual(await healthOf('health_bind: "[::1]:9464"'), { host: '::1', port: 9464 })
  assert.deepEqual(await healthOf('health_bind: localhost:9464'), { host: 'localhost', port: 9464 })
  assert.deepEqual(await healthOf('health_bind: 127.8.8.8:0'), { host: '127.8.8.8', port: 0 })
  for (const alone of ['9464', '"9464"']) {
    assert.deepEqual(await healthOf(`health_bind: ${alone}`), { host: '127.0.0.1', port: 9464 })
  }
})

test('an address that other machines reach needs a token, and one on loopback may have one', async () => {
  for (const host of ['0.0.0.0', '"[::]', '192.0.2.7', '"[::ffff:127.0.0.1]']) {
    const bind = host.startsWith('"') ? `${host}:1"` : `${host}:1`
    assert.match(await said(`health_bind: ${bind}`), /other machines: add health_token/)
    assert.equal((await healthOf(`health_bind: ${bind}, health_token: ${TOKEN}`))?.token, TOKEN)
  }
  assert.deepEqual(await healthOf(`health_bind: 1, health_token: ${TOKEN}`), {
    host: '127.0.0.1',
    port: 1,
    token: TOKEN,
  })
})

test('what is no address is refused, and neither a token nor what was filled in is shown', async () => {
  for (const bind of ['70000', '-1', '9464.5', 'true', '127.0.0.1:http', '1.2.3.4.5:1', '"[::1]"', '"::1"', '""']) {
    assert.match(await said(`health_bind: ${bind}`), /"(127\.0\.0\.1|\[::1\]):9464"/, bind)
  }
  const env = { S: 'hunter2' }
  for (const bind of ['"${S}:99"', '"${S}"', '"[${S}]:1"', '":${S}"']) {
    assert.doesNotMatch(await said(`health_bind: ${bind}`, env), /hunter2|99/, bind)
  }
  for (const token of [
    'hunter2',
    '"${S}"',
    '"hunter2 hunter2 hunter2"',
    '"hunter2\\nhunter2\\nhunter2"',
    '77777777777',
  ]) {
    const text = await said(`health_bind: 1, health_token: ${token}`, env)
    assert.doesNotMatch(text, /hunter2|7777/, token)
    assert.match(text, /at least 16/)
  }
})
