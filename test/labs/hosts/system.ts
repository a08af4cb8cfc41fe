/** Commands of the machine that the labs run on. */
import { execFile } from 'node:child_process'
import { accessSync, constants, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

/** Its standard output; rejects with what it said on the standard error. */
export async function exec(command: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(command, args, { maxBuffer: 1 << 26 })
  return stdout
}

/** Whether it ended well. */
export async function runs(command: string, ...args: string[]): Promise<boolean> {
  return exec(command, ...args).then(
    () => true,
    () => false,
  )
}

export function onPath(command: string): boolean {
  return (process.env['PATH'] ?? '').split(':').some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** By the device below it: a list of mounts is not read whole while others mount. */
export function isMounted(path: string): boolean {
  const device = (folder: string): number | undefined => statSync(folder, { throwIfNoEntry: false })?.dev
  const own = device(path)
  return own !== undefined && own !== device(dirname(path))
}

export function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
  } catch {
    return []
  }
}

/** When a process was started, as the kernel counts; undefined where there is none. Tells it apart from a later one. */
export function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}
