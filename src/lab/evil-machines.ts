/** Customers whose machines are evil in what no mock can be, in whatever world. */
import type { Evil } from '../engines/webhook/stage.ts'

export interface EvilMachines {
  /** From when it resolves; null ends it. Each meeting is a `toxic.hit`. Throws NEEDS_SIMULATION. */
  become(customer: string, mood: Evil | null): Promise<void>
  /** All are well again. */
  heal(): Promise<void>
}
