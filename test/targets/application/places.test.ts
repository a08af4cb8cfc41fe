/** The places of an application: whose machine each of them is on, and which addresses it reaches. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applicationClient } from '../../../src/targets/application/client.ts'
import { config, isHere } from '../../../src/targets/application/config.ts'
import type { ApplicationConfig } from '../../../src/targets/application/config.ts'
import { placeAt } from '../../../src/targets/application/places.ts'
import { FakeApplication } from '../../fakes/application.ts'

const TOKEN = 'a-canary-of-16-characters'

test('a run on one of several places, of a configuration that leads to other machines too: its recovery asks for the same machine as the run did', () => {
  const far = 'http://10.0.0.7:4711'
  for (const [mixed, id, here] of [
    [{ app: 'shop', socket: '/run/shop/*.sock', http: far, token: TOKEN }, '/run/shop/a.sock', true],
    [{ app: 'shop', http: ['http://127.0.0.1:4711', far], token: TOKEN }, 'http://127.0.0.1:4711', true],
    [{ app: 'shop', http: ['http://127.0.0.1:4711', far], token: TOKEN }, far, false],
  ] as const) {
    const ofRun = placeAt(config.parse(mixed), id)!.config as ApplicationConfig
    const everywhere = placeAt(config.parse(mixed), id, [id, 'another'])!.config as ApplicationConfig
    // `all` of a recovery are the places of its run: here there was this one.
    const ofRecovery = placeAt(config.parse(mixed), id, [id])!.config as ApplicationConfig
    assert.deepEqual([ofRun, everywhere, ofRecovery].map(isHere), [here, here, here], id)
  }
})

test('a place reaches its own address; the first of a run on all of them those that come later as well', async () => {
  const app = new FakeApplication()
  try {
    const ids: string[] = []
    for (const name of ['a', 'b', 'c']) ids.push((await app.start(name)).connection.address)
    const [a, b, c] = ids as [string, string, string]
    const { signal } = new AbortController()
    const reached = (id: string, all?: string[]) =>
      applicationClient(placeAt(config.parse(app.config), id, all)!.config as ApplicationConfig).addresses(signal)
    assert.deepEqual(await reached(a), [a])
    assert.deepEqual(await reached(a, [a, b]), [a, c])
    assert.deepEqual(await reached(b, [a, b]), [b])
  } finally {
    await app.stop()
  }
})
