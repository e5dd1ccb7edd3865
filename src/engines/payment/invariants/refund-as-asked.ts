import type { Invariant } from '../../../invariant.ts'
import { count } from '../truth.ts'

interface Account {
  /** Minor units that were charged. */
  charged: number
  /** Wishes for money back by their keys; the rest of it counts as all that was charged. */
  wishes: Map<string, number | null>
  /** What the bank gave back. */
  returned: number
  /** What customers were told that they have back, by key. */
  told: Map<string, number>
  /** `seq` of the events of the bank. */
  witness: number[]
}

export const invariant: Invariant = {
  name: 'refund-as-asked',
  summary: 'what goes back never exceeds what was asked back, nor what was charged; and who was told that he has it back has it',
  start() {
    const accounts = new Map<string, Account>()
    const accountOf = (payment: string): Account => {
      let account = accounts.get(payment)
      if (!account) accounts.set(payment, (account = { charged: 0, wishes: new Map(), returned: 0, told: new Map(), witness: [] }))
      return account
    }
    const sum = (amounts: Iterable<number>) => [...amounts].reduce((total, amount) => total + amount, 0)
    return {
      on(event) {
        switch (event.type) {
          case 'bank.charged': {
            const account = accountOf(event['reference'])
            account.charged += event['amount']
            account.witness.push(event.seq)
            return undefined
          }
          case 'refund.asked':
            accountOf(event['payment']).wishes.set(event['key'], event['amount'])
            return undefined
          case 'bank.refunded': {
            const account = accountOf(event['reference'])
            account.returned += event['amount']
            account.witness.push(event.seq)
            const wanted = sum([...account.wishes.values()].map((amount) => amount ?? account.charged))
            if (account.returned > account.charged) return { why: `${account.returned} of ${account.charged} were given back for ${event['reference']}`, witness: account.witness }
            return account.returned > wanted ? { why: `${wanted} were asked back for ${event['reference']}, and the bank gave ${account.returned}`, witness: account.witness } : undefined
          }
          case 'refund.told': {
            if (event['told'] !== 'refunded') return undefined
            const account = accountOf(event['payment'])
            account.told.set(event['key'], event['amount'])
            const told = sum(account.told.values())
            return told > account.returned ? { why: `customers of ${event['payment']} were told that ${told} came back, and the bank gave ${account.returned}`, witness: [...account.witness, event.seq] } : undefined
          }
          default:
            return undefined
        }
      },
      end() {
        const wishes = sum([...accounts.values()].map(({ wishes }) => wishes.size))
        return { violations: [], looked: count(wishes, 'refund'), undecided: wishes === 0 ? 'nobody wanted money back' : undefined }
      },
    }
  },
}
