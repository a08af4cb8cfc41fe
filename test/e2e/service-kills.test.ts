/** The systemd unit in a host of its own: killed, and cut from the power, in every phase of a run. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { hostsMissing } from '../labs/hosts.ts'
import type { Host } from '../labs/hosts.ts'
import { phase, says } from './service-host.ts'
import type { ChaosUnit } from './service-host.ts'
import { inSeconds, PHASES, ServiceLab } from './service-lab.ts'

describe('the systemd unit', { skip: hostsMissing() ?? false, timeout: 25 * 60_000 }, () => {
  let lab: ServiceLab
  let host: Host
  let unit: ChaosUnit

  before(async () => {
    lab = await ServiceLab.open()
    ;({ host, unit } = lab)
  })
  after(() => lab.close())

  const victims = {
    supervisor: async () => {
      await host.run('kill', '-9', String(await unit.pid()))
    },
    worker: async () => {
      const pid = await unit.pid()
      // Another child may just have ended by itself.
      const children = `$(cat /proc/${pid}/task/${pid}/children)`
      await host.sh(`for child in ${children}; do kill -9 $child || true; done`)
    },
    both: async () => {
      const pid = await unit.pid()
      // A child that has just ended by itself is no failure of the kill.
      const children = `children=$(cat /proc/${pid}/task/${pid}/children)`
      await host.sh(`${children}; kill -9 ${pid}; for child in $children; do kill -9 $child || true; done`)
    },
    'the power of the host': () => lab.powerCut(),
  }

  for (const [victim, kill] of Object.entries(victims)) {
    test(`after the end of ${victim} in apply, soak and rollback nothing is left, and the next run is on time`, async (t) => {
      await unit.systemctl('enable', 'chaos.service')
      await host.sh('sync')
      let from = unit.mark
      await lab.startUnit()
      const took: string[] = []
      for (const name of PHASES) {
        await unit.until(phase(name), from)
        const mark = unit.mark
        const begun = performance.now()
        await kill()
        const ready = await unit.until(says(victim === 'worker' ? 'recovery.finished' : 'daemon.ready'), mark)
        took.push(`${name} ${inSeconds(ready.read - begun)}`)
        assert.equal((await unit.until(says('recovery.finished'), mark)).pending, 0)
        await lab.assertNothingLeft(`${victim} killed in ${name}`)
        assert.equal(await unit.show('ActiveState'), 'active')
        from = await lab.assertNextRunOnTime()
      }
      t.diagnostic(`from kill -9 to ${victim === 'worker' ? 'undone' : 'ready'}: ${took.join(', ')}`)
      await unit.reset()
      await unit.systemctl('disable', 'chaos.service')
    })
  }
})
