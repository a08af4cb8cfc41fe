/** `chaos worker` (hidden): what a supervisor starts; it speaks over IPC only. */
import { workerMain } from '../supervisor/worker.ts'
import type { Context } from './context.ts'
import { failed } from './failed.ts'

export async function worker(context: Context): Promise<number> {
  try {
    await workerMain(await context.targets())
    return 0
  } catch (error) {
    return failed(error, context)
  }
}
