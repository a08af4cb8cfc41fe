/** The shop's application: sessions that write gently and for ever, also to the rows that chaos touches. */
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { Snapshot } from '../snapshot.ts'
import { Ledger, type Edit, type Row } from './ledger.ts'
import { Meter } from './meter.ts'
import { writers, type Work, type Writer } from './workload.ts'

/** A lock that chaos had left behind would otherwise hang the end of the demo. */
const STATEMENT_TIMEOUT_MS = 30_000

export async function startApplication(url: string, shop: Snapshot): Promise<Application> {
  const list = writers(shop)
  const clients = await Promise.all(list.map(({ name }) => connect(url, name)))
  const sessions = list.map((writer, i) => ({ ...writer, client: clients[i] as pg.Client }))
  return new Application(new Ledger(shop), sessions)
}

type Session = Writer & { client: pg.Client }

export class Application {
  readonly ledger: Ledger
  readonly meter = new Meter()
  readonly #stopping = new AbortController()
  readonly #running: Promise<void>
  readonly #busy = new Map<string, Promise<void>>()
  #paused: Promise<void> | undefined

  constructor(ledger: Ledger, sessions: readonly Session[]) {
    this.ledger = ledger
    this.#running = Promise.all(sessions.map((session) => this.#run(session))).then(() => undefined)
  }

  /** Does `work` while nothing of ours is in flight. */
  async paused<T>(work: () => Promise<T>): Promise<T> {
    let resume = (): void => undefined
    this.#paused = new Promise((resolve) => (resume = resolve))
    try {
      await Promise.all(this.#busy.values())
      return await work()
    } finally {
      this.#paused = undefined
      resume()
    }
  }

  /** Begins nothing new; resolves when everything is committed or failed. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#running
  }

  async #run({ name, pauseMs, next, client }: Session): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      if (this.#paused) {
        await this.#paused
        continue
      }
      const busy = this.meter.time(name, async () => {
        this.ledger.enter(await transaction(client, next()))
      })
      this.#busy.set(name, busy)
      await busy
      await sleep(pauseMs * (0.5 + Math.random()), undefined, { signal }).catch(() => undefined)
    }
    await client.end()
  }
}

/** Values as the server writes them, so that they compare with a snapshot. */
const TEXT = { getTypeParser: () => (value: string) => value } as unknown as pg.CustomTypesConfig

async function connect(url: string, name: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    application_name: `shop ${name}`,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    options: '-c TimeZone=UTC -c DateStyle=ISO',
    types: TEXT,
  })
  // Its loop hears of a lost connection by its next statement.
  client.on('error', () => undefined)
  await client.connect()
  return client
}

/** Resolves with what is committed. */
async function transaction(client: pg.Client, work: Work): Promise<Edit[]> {
  await client.query('begin')
  try {
    const wrote = await work(async (sql, values) => {
      const { rows } = await client.query<Row>(sql, values)
      if (rows.length !== 1) throw new Error(`a row of the shop is gone: ${sql}`)
      return rows[0] ?? {}
    })
    await client.query('commit')
    return wrote
  } catch (error) {
    await client.query('rollback').catch(() => undefined)
    throw error
  }
}
