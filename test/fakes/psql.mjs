/** Stands in for psql where there is none: statements from its input, one after the other, and `\gexec`. */
import { readFileSync } from 'node:fs'
import pg from 'pg'

const url = process.argv.at(-1)
const client = new pg.Client({ connectionString: url })
// As psql does, to its standard error.
client.on('notice', ({ severity, message }) => process.stderr.write(`${severity}:  ${message}\n`))
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

/** Ends with `;` or `\gexec` outside of everything that is quoted: strings, names, comments, blocks between dollar quotes. */
function isWhole(text) {
  const token = /E'(?:\\[^]|''|[^'\\])*'|'(?:''|[^'])*'|"(?:""|[^"])*"|--[^\n]*|(\$\w*\$)[^]*?\1|[^'"$]|\$(?!\w*\$)/y
  let last = ''
  for (let at = 0; at < text.length; at = token.lastIndex) {
    token.lastIndex = at
    const [found] = token.exec(text) ?? []
    if (found === undefined) return false
    if (found.trim() !== '' && !found.startsWith('--')) last = (last + found).slice(-6)
  }
  return last.endsWith(';') || last === '\\gexec'
}
