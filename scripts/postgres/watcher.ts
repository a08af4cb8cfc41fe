/**
 * Ends a server when we end, however that comes (SIGKILL too): a shell in a session of its own reads a pipe whose other
 * end only we hold. It is told the server's pid, or 0 while there is none, and at the end of the pipe cleans up.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Socket } from 'node:net'
import { cleanEnv } from './cache.ts'

export interface Watcher {
  /** `starting`: the pid is about to exist, and the server will write it into its postmaster.pid. */
  tell(server: number | 'starting'): void
  /** Lets it end the server it was last told of and remove what it should; resolves when that is done. */
  finish(): Promise<void>
}

export interface Watched {
  dataDir: string
  logFile: string
  /** Whether data and log are removed at the end… */
  remove: boolean
  /** …and this folder, if it is empty then; none when it is ''. */
  rmdir: string
}

/**
 * A server that ends removes its postmaster.pid (and may stay a zombie for a while: in a container, nobody may wait for
 * it). One that was killed leaves it; its seventh line names the shared memory that it left too.
 * Removing is tried again because something (a copy into the folder) may still be ending.
 */
const SCRIPT = `
pid=0
while read -r line; do pid=$line; done
if [ "$pid" = starting ]; then sleep 1; pid=$(head -n 1 "$1/postmaster.pid" || echo 0); fi
if [ "$pid" -gt 0 ]; then
  kill -QUIT "$pid"
  n=0; while [ -e "$1/postmaster.pid" ] && kill -0 "$pid" && [ $n -lt 100 ]; do sleep 0.05; n=$((n + 1)); done
  [ ! -e "$1/postmaster.pid" ] || kill -KILL "$pid"
fi
[ "$3" = true ] || exit 0
if [ -f "$1/postmaster.pid" ]; then ipcrm -m "$(sed -n '7s/.* //p' "$1/postmaster.pid")"; fi
n=0; while rm -rf "$1" "$2"; [ -e "$1" ] && [ $n -lt 5 ]; do sleep 0.2; n=$((n + 1)); done
[ -z "$4" ] || rmdir "$4"
`

export function startWatcher({ dataDir, logFile, remove, rmdir }: Watched): Watcher {
  const shell = spawn('/bin/sh', ['-c', SCRIPT, 'postgres-watcher', dataDir, logFile, String(remove), rmdir], {
    cwd: '/',
    detached: true,
    env: cleanEnv(),
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  const gone = once(shell, 'exit')
  // A server that nobody stopped must not keep the process from ending.
  shell.unref()
  if (shell.stdin instanceof Socket) shell.stdin.unref()
  shell.stdin.on('error', () => undefined)
  return {
    tell: (server) => void shell.stdin.write(`${server}\n`),
    async finish() {
      shell.ref()
      shell.stdin.end()
      await gone
    },
  }
}
