/** The mission's examples in TypeScript, on the application's own switch, as their readers would type them. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import {
  chaosMonkey,
  disable,
  enable,
  ExperimentObserver,
  ExperimentScheduler,
  FaultInjector,
  FaultType,
  resilienceTest,
} from '../../src/index.ts'
import type { ChaosExperiment, FaultConfig } from '../../src/index.ts'

describe('the examples of the mission', () => {
  before(() => enable())
  after(() => disable())

  test('quick start: a function with a 30% chance of being slow', async () => {
    const callTool = chaosMonkey({ fault_type: FaultType.latency, probability: 0.3, duration_ms: 50 })(
      (payload: { query: string }) => Promise.resolve({ result: 'ok', query: payload.query }),
    )
    const result = await callTool({ query: 'hello' })
    assert.deepEqual(result, { result: 'ok', query: 'hello' })
  })

  test('direct fault injection', async () => {
    const injector = new FaultInjector()
    const begun = performance.now()
    await injector.injectLatency(30)
    assert.ok(performance.now() - begun >= 29)

    let caught = ''
    try {
      await injector.injectError(503, 'Service unavailable')
    } catch (error) {
      caught = `Caught: ${(error as Error).message}`
    }
    assert.equal(caught, 'Caught: [503] Service unavailable')

    const config: FaultConfig = { fault_type: FaultType.latency, probability: 0.25, duration_ms: 1 }
    let fired = 0
    for (let i = 0; i < 200; i++) if (await injector.inject(config)) fired++
    assert.ok(fired > 15 && fired < 100, String(fired))
  })

  test('the @chaos_monkey decorator', async () => {
    class Agent {
      @chaosMonkey({ fault_type: FaultType.error, probability: 0.15, error_code: 429, seed: 'example' })
      async callLlmApi(prompt: string): Promise<string> {
        return Promise.resolve(`LLM response to ${prompt}`)
      }
    }
    const agent = new Agent()
    const answers = new Map<string, number>()
    for (let i = 0; i < 200; i++) {
      let response: string
      try {
        response = await agent.callLlmApi('What is the capital of France?')
      } catch (error) {
        assert.match((error as Error).message, /^\[429\] /)
        response = 'fallback response'
      }
      answers.set(response, (answers.get(response) ?? 0) + 1)
    }
    const fallbacks = answers.get('fallback response') ?? 0
    assert.ok(fallbacks > 10 && fallbacks < 60, String(fallbacks))
    assert.equal(answers.get('LLM response to What is the capital of France?'), 200 - fallbacks)
  })

  test('the @resilience_test decorator', async () => {
    class Tools {
      @resilienceTest({
        faults: [
          { fault_type: FaultType.latency, probability: 0.5, duration_ms: 2 },
          { fault_type: FaultType.error, probability: 0.1, error_code: 503 },
          { fault_type: FaultType.timeout, probability: 0.05 },
        ],
        seed: 7,
      })
      async searchKnowledgeBase(query: string): Promise<string[]> {
        return Promise.resolve([`${query} 1`, `${query} 2`])
      }
    }
    const tools = new Tools()
    const ends = new Map<string, number>()
    for (let i = 0; i < 200; i++) {
      const end = await tools.searchKnowledgeBase('x').then(
        () => 'answer',
        (error: unknown) => (error as Error).name,
      )
      ends.set(end, (ends.get(end) ?? 0) + 1)
    }
    assert.deepEqual([...ends.keys()].sort(), ['ChaosError', 'ChaosTimeoutError', 'answer'])
  })

  test('structured experiments with ExperimentScheduler', async () => {
    const experiment: ChaosExperiment = {
      experiment_id: 'exp-001',
      name: 'Tool latency stress test',
      description: '1 second of 40% latency injection',
      duration_seconds: 1,
      target_components: ['tool_executor'],
      faults: [
        {
          fault_type: FaultType.latency,
          probability: 0.4,
          duration_ms: 25,
          affected_components: ['tool_executor'],
        },
        { fault_type: FaultType.error, probability: 1, error_code: 500, error_message: 'Simulated internal error' },
      ],
    }
    const scheduler = new ExperimentScheduler()
    const experimentId = scheduler.schedule(experiment)
    const result = await scheduler.run(experimentId)
    assert.equal(experimentId, 'exp-001')
    assert.equal(result.status, 'completed')
    assert.ok(result.summary.total_faults_fired >= 1)
    assert.ok(result.observations.length >= 3)
  })

  test('ExperimentObserver for custom observation', async () => {
    const observer = new ExperimentObserver()
    observer.observe('database', 'query_start', { query: 'SELECT ...' })
    observer.observe('database', 'query_end', { rows: 42 })
    const embeddings = await observer.scope('vector_search', 'embed', () => Promise.resolve([1, 2, 3]))
    assert.deepEqual(embeddings, [1, 2, 3])
    const lines = observer.getObservations().map((point) => `[${point.component}] ${point.event}`)
    assert.deepEqual(lines, [
      '[database] query_start',
      '[database] query_end',
      '[vector_search] embed_start',
      '[vector_search] embed_end',
    ])
    assert.ok(observer.getObservations().every((p) => p.timestamp === new Date(p.timestamp).toISOString()))
  })

  test('abort a running experiment', async () => {
    const scheduler = new ExperimentScheduler()
    const experimentId = scheduler.schedule({
      experiment_id: 'long-exp',
      name: 'Long-running test',
      duration_seconds: 300,
      faults: [{ fault_type: FaultType.latency, probability: 0.2, duration_ms: 100 }],
    })
    const running = scheduler.run(experimentId)
    await new Promise((resolve) => setTimeout(resolve, 50))
    scheduler.abort(experimentId)
    await running
    assert.equal(scheduler.getResult(experimentId).status, 'aborted')
  })
})
