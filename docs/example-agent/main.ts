/** The experiment: the document search is down for a second. Are questions answered, and how many calls does that cost? */
import { enable, ExperimentScheduler } from 'chaos-agents/faults'
import { answer, makeTools } from './agent.ts'
import { atOnce, withBackOff } from './retry.ts'
import type { Retry } from './retry.ts'

const QUESTIONS = 10
/** What we believe: an outage costs at most so many calls of the broken tool per question… */
const MOST_CALLS = 3
/** …and nobody stays without an answer. */
const LEAST_ANSWERED = QUESTIONS

async function outage(retry: Retry) {
  const tools = makeTools()
  const scheduler = new ExperimentScheduler()
  const id = scheduler.schedule({
    name: 'The document search is down',
    duration_seconds: 1,
    target_components: ['search_docs'],
    faults: [
      { fault_type: 'latency', duration_ms: 5 },
      { fault_type: 'error', error_code: 503 },
    ],
  })
  const running = scheduler.run(id)
  const questions = Array.from({ length: QUESTIONS }, (_, i) => answer(tools, `#${i + 1}`, retry))
  const answered = (await Promise.allSettled(questions)).filter(({ status }) => status === 'fulfilled').length
  await running
  return { answered, perQuestion: tools.calls.search_docs / QUESTIONS }
}

function verdict(name: string, { answered, perQuestion }: Awaited<ReturnType<typeof outage>>): boolean {
  const holds = answered >= LEAST_ANSWERED && perQuestion <= MOST_CALLS
  const cost = `${perQuestion.toFixed(1)} calls of search_docs per question (at most ${MOST_CALLS})`
  console.log(`${name}: ${answered} of ${QUESTIONS} answered, ${cost}: ${holds ? 'passed' : 'FAILED'}`)
  return holds
}

enable()
const before = verdict('again at once  ', await outage(atOnce))
const after = verdict('with back-off  ', await outage(withBackOff))
// The example is right when the experiment finds the weakness, and the fix lifts it.
process.exitCode = !before && after ? 0 : 1
