/** Who else may change the state folder: what is undone, and where, is read from there. */
import { stat } from 'node:fs/promises'

/** What is to be said of it; undefined when only we and root may write it. A group is somebody's decision. */
export async function exposureOf(stateDir: string): Promise<string | undefined> {
  const { mode, uid } = await stat(stateDir)
  const who = [
    ...((mode & 0o002) === 0 ? [] : [`every user (mode ${(mode & 0o7777).toString(8)})`]),
    ...([0, process.getuid?.() ?? uid].includes(uid) ? [] : [`its owner, user ${uid}`]),
  ]
  if (who.length === 0) return undefined
  return `${stateDir} may be changed by ${who.join(' and ')}, and what is undone, and where, is read from there: chown it to the user that runs chaos, chmod 700`
}
