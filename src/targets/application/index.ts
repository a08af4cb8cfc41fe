/** The application target: faults at the function boundary of running programs that call `connectChaos`. */
import { defineTarget } from '../../core/target.ts'
import type { AnySkill } from '../../core/target.ts'
import type { AppClient, AppReader } from './client.ts'
import { config, keyOf, namesOf } from './config.ts'
import type { ApplicationConfig } from './config.ts'
import { placeAt } from './places.ts'
import { dataCorruption } from './skills/data_corruption.ts'
import { error } from './skills/error.ts'
import { latency } from './skills/latency.ts'
import { partialFailure } from './skills/partial_failure.ts'
import { resourceExhaustion } from './skills/resource_exhaustion.ts'
import { timeout } from './skills/timeout.ts'

const skills: readonly AnySkill<AppReader, AppClient>[] = [
  latency,
  error,
  timeout,
  partialFailure,
  resourceExhaustion,
  dataCorruption,
]

export const application = defineTarget<ApplicationConfig>({
  name: 'application',
  config,
  skills,
  endpoint: (config) => ({ key: keyOf(config), names: namesOf(config) }),
  redact: ({ token, ...config }) => (token === undefined ? config : { ...config, token: '***' }),
  secrets: ({ token }) => (token === undefined ? [] : [token]),
  async connect(config, options) {
    const { connectApplication } = await import('./agent.ts')
    return connectApplication(config, skills, options)
  },
  places: {
    async list(config, signal) {
      const { applicationClient } = await import('./client.ts')
      return applicationClient(config).addresses(signal)
    },
    at: placeAt,
  },
})
