/**
 * Ends the daemon and its workers, and removes its state folder, when the demo is killed: a shell in a session of its own
 * reads a pipe whose other end only we hold. It is told the daemon's process group, or 0 while there is none.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'

export interface Guard {
  tell(group: number): void
  /** Lets it clean up now; resolves when that is done. */
  finish(): Promise<void>
}

/** A killed worker may still have the folder's files open for a moment. */
const SCRIPT = `
group=0
while read -r line; do group=$line; done
[ "$group" -eq 0 ] || kill -s KILL -- "-$group"
n=0; while rm -rf "$1"; [ -e "$1" ] && [ $n -lt 25 ]; do sleep 0.2; n=$((n + 1)); done
`

export function startGuard(folder: string): Guard {
  const shell = spawn('/bin/sh', ['-c', SCRIPT, 'demo-guard', folder], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  const gone = once(shell, 'exit')
  shell.stdin.on('error', () => undefined)
  return {
    tell: (group) => void shell.stdin.write(`${group}\n`),
    async finish() {
      shell.stdin.end()
      await gone
    },
  }
}
