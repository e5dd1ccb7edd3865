/** With which word something is refused; `nothing` when it is not. */
import { ResilError } from '../../errors.ts'

export async function codeOf(work: () => Promise<unknown>): Promise<string> {
  try {
    await work()
    return 'nothing'
  } catch (error) {
    if (error instanceof ResilError) return error.code
    throw error
  }
}
