// What a long run leaves behind, for both fuzzers.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Memory after what can be collected was. */
export async function collected() {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc')
  for (let n = 0; n < 4; n++) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    gc()
  }
  return process.memoryUsage()
}

/** Of this process, open now. */
export const sockets = () => process.getActiveResourcesInfo().filter((kind) => kind.startsWith('TCP')).length
