// Preloaded for the canary: a build whose fdatasync does nothing.
import { open } from 'node:fs/promises'

const handle = await open('/dev/null')
Object.getPrototypeOf(handle).datasync = () => Promise.resolve()
await handle.close()
