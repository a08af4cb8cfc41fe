/** `chaos worker` (hidden): what a supervisor starts; it speaks over IPC only. */
import { workerMain } from '../supervisor/worker.ts'
import type { Context } from './context.ts'

export async function worker(context: Context): Promise<number> {
  await workerMain(await context.targets())
  return 0
}
