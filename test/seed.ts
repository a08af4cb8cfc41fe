/** The seed of what is drawn at random. */
import { execFileSync } from 'node:child_process'

/** The commit, so that each one is attacked at other points and can be attacked there again. */
export function seedOfCommit(): string {
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return 'no commit'
  }
}
