/** A person at a terminal: runs the lines of `byHand` exactly as they are printed. */
import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const STAND_IN = fileURLToPath(new URL('psql.mjs', import.meta.url))
/** Debian's is a wrapper that may be there without any version behind it. */
const HAS_PSQL = spawnSync('psql', ['--version']).status === 0

/** Resolves with what the commands said; rejects when they failed. */
export async function runByHand(lines: readonly string[], shell = ['sh', '-e']): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'chaos-by-hand-'))
  try {
    let path = process.env['PATH'] ?? ''
    if (!HAS_PSQL) {
      // What it does of these lines.
      writeFileSync(join(folder, 'psql'), `#!/bin/sh\nexec '${process.execPath}' '${STAND_IN}' "$@"\n`)
      chmodSync(join(folder, 'psql'), 0o755)
      path = `${folder}${delimiter}${path}`
    }
    const [command = 'sh', ...args] = shell
    const child = spawn(command, args, { env: { ...process.env, PATH: path }, stdio: ['pipe', 'pipe', 'pipe'] })
    let said = ''
    child.stdout.on('data', (text: Buffer) => (said += text.toString()))
    child.stderr.on('data', (text: Buffer) => (said += text.toString()))
    child.stdin.end(`${lines.join('\n')}\n`)
    const code = await new Promise((resolve) => child.on('close', resolve))
    if (code !== 0) throw new Error(`exit ${String(code)}: ${said}`)
    return said
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
