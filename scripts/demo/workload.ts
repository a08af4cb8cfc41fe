/** What the sessions of the demo's application write: every cell has one session as its only writer, and gets absolute values. */
import { randomInt, randomUUID } from 'node:crypto'
import type { Snapshot } from '../snapshot.ts'
import { rowsOf, type Edit, type Row } from './ledger.ts'

/** The statements of one transaction; what they wrote. */
export type Work = (db: Db) => Promise<Edit[]>
/** Runs a statement that gives back exactly one row. */
export type Db = (sql: string, values: (string | number | null)[]) => Promise<Row>

export interface Writer {
  name: string
  /** Between two transactions, on average. */
  pauseMs: number
  next(): Work
}

/** More orders would only make the proof long. */
const MOST_ORDERS = 5_000

/** `shop`: what there was before; only these rows and its own are touched, never one that chaos made. */
export function writers(shop: Snapshot): Writer[] {
  return [
    { name: 'checkout', pauseMs: 110, next: checkout(shop) },
    { name: 'warehouse', pauseMs: 70, next: warehouse(shop) },
    { name: 'support', pauseMs: 150, next: support(shop) },
  ]
}

/** Sells to known customers what is known to be on the shelf, and moves its orders on. */
function checkout(shop: Snapshot): () => Work {
  const customers = rowsOf(shop, 'customers')
  const products = rowsOf(shop, 'products')
  const orders = rowsOf(shop, 'orders').map((row) => row['id'] ?? '')
  const newOrder: Work = async (db) => {
    const order = await db(
      `insert into orders (id, customer_id, status, placed_at) values ($1, $2, 'new', clock_timestamp()) returning *`,
      [randomUUID(), oneOf(customers)['id'] ?? ''],
    )
    const wrote: Edit[] = [['orders', order]]
    // In the order of their keys: two baskets with the same goods never wait for each other in a circle.
    const basket = [...new Set([oneOf(products), oneOf(products)])].sort((a, b) => (skuOf(a) < skuOf(b) ? -1 : 1))
    for (const [i, product] of basket.entries()) {
      const item = await db(
        'insert into order_items (order_id, line, sku, quantity, unit_price) values ($1, $2, $3, $4, $5) returning *',
        [order['id'] ?? '', i + 1, skuOf(product), 1 + randomInt(3), product['price'] ?? '0'],
      )
      wrote.push(['order_items', item])
    }
    orders.push(order['id'] ?? '')
    return wrote
  }
  const moveOn: Work = async (db) => [
    [
      'orders',
      await db('update orders set status = $2 where id = $1 returning id, status', [
        oneOf(orders),
        oneOf(['paid', 'shipped', 'cancelled']),
      ]),
    ],
  ]
  return () => (Math.random() < 0.6 && orders.length < MOST_ORDERS ? newOrder : moveOn)
}

/** Counts and prices. */
function warehouse(shop: Snapshot): () => Work {
  const products = rowsOf(shop, 'products')
  const stock: Work = async (db) => [
    [
      'products',
      await db('update products set stock = $2 where sku = $1 returning sku, stock', [
        skuOf(oneOf(products)),
        randomInt(200),
      ]),
    ],
  ]
  const price: Work = async (db) => [
    [
      'products',
      await db('update products set price = $2 where sku = $1 returning sku, price', [
        skuOf(oneOf(products)),
        (1 + randomInt(10_000) / 100).toFixed(2),
      ]),
    ],
  ]
  return () => (Math.random() < 0.7 ? stock : price)
}

/** New customers, their telephone numbers (some are taken back), notes on orders. */
function support(shop: Snapshot): () => Work {
  const customers = rowsOf(shop, 'customers').map((row) => row['id'] ?? '')
  const orders = rowsOf(shop, 'orders').map((row) => row['id'] ?? '')
  const signUp: Work = async (db) => [
    [
      'customers',
      await db('insert into customers (email, name, joined_on) values ($1, $2, current_date) returning *', [
        `${randomUUID()}@shop.invalid`,
        "Nadia D'Angelo",
      ]),
    ],
  ]
  const phone: Work = async (db) => [
    [
      'customers',
      await db('update customers set phone = $2 where id = $1 returning id, phone', [
        oneOf(customers),
        oneOf([null, `+44 20 ${randomInt(1_000_000)}`]),
      ]),
    ],
  ]
  const note: Work = async (db) => [
    [
      'orders',
      await db('update orders set note = $2 where id = $1 returning id, note', [
        oneOf(orders),
        oneOf([null, 'Ring twice', `It’s for “Ö. K.” (${randomInt(100)})`]),
      ]),
    ],
  ]
  return () => oneOf([signUp, phone, phone, phone, note, note])
}

function skuOf(product: Row): string {
  return product['sku'] ?? ''
}

function oneOf<T>(list: readonly T[]): T {
  return list[randomInt(list.length)] as T
}
