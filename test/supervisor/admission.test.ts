/** Admissions: what becomes of a run that ends while its answer is made. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../src/core/clock.ts'
import { Admissions } from '../../src/supervisor/admission.ts'
import { BlockedRuns } from '../../src/supervisor/blocked.ts'
import { LocalClaims } from '../../src/supervisor/claims.ts'

const of = (run: string) => ({ run, experiment: run, places: [] })

test('a run whose worker dies while it is asked whether it may begin has no claims, and nobody waits for it', async () => {
  const admissions = new Admissions({
    ...{ claims: new LocalClaims(), blocked: new BlockedRuns(), clock: systemClock },
    emit: () => undefined,
  })
  let admit: (why?: string) => void = () => undefined
  admissions.admitBy(({ run }) =>
    run === 'dead' ? new Promise((resolve) => (admit = resolve)) : Promise.resolve(undefined),
  )
  const asked = admissions.claim(of('dead'), ['db/a'], 'skip')
  await admissions.release('dead')
  admit()
  assert.deepEqual(await asked, { type: 'refused', code: 'ABORTED', message: 'the run is over' })
  assert.deepEqual(await admissions.claim(of('next'), ['db/a'], 'skip'), { type: 'claimed', waited: false })
})
