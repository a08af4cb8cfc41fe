/** Stands in for psql where there is none: statements from its input, one after the other, and `\gexec`. */
import { readFileSync } from 'node:fs'
import pg from 'pg'

const url = process.argv.at(-1)
const client = new pg.Client({ connectionString: url })
await client.connect()
let statement = ''
try {
  for (const line of readFileSync(0, 'utf8').split('\n')) {
    statement += `${line}\n`
    if (statement.trim() === '' || !isWhole(statement)) continue
    const gexec = statement.trimEnd().endsWith('\\gexec')
    const { rows } = await client.query(gexec ? statement.replace(/\\gexec\s*$/, '') : statement)
    if (gexec) for (const row of rows) for (const cell of Object.values(row)) await client.query(cell)
    statement = ''
  }
} catch (error) {
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 3
} finally {
  await client.end()
}

/** A block between dollar quotes has lines that end with `;` too. */
function isWhole(text) {
  const tags = text.match(/\$chaos_*\$/g) ?? []
  return tags.length % 2 === 0 && /(;|\\gexec)\s*$/.test(text)
}
