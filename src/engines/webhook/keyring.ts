/** The keys of this node's lanes, in memory while their lanes work: read with the first delivery, forgotten when the endpoint changes. */
import type { Tx } from '../store/store.ts'
import type { Signer } from './signature.ts'
import { signer } from './signature.ts'
import type { Vault } from './vault.ts'

export class Keyring {
  readonly #vault: Vault
  readonly #signers = new Map<string, Signer>()

  constructor(vault: Vault) {
    this.#vault = vault
  }

  /** Throws VAULT_WRONG_KEY. */
  async load(tx: Tx, lane: number, id: string): Promise<void> {
    const rows = await tx.query<{ sealed: string; expires_at: number | null }>('SELECT sealed, expires_at FROM secret WHERE lane = :lane ORDER BY id DESC', { lane })
    this.#signers.set(id, signer(rows.map(({ sealed, expires_at }) => ({ secret: this.#vault.open(id, sealed), expiresAt: expires_at }))))
  }

  /** Of an endpoint that was loaded. */
  of(id: string): Signer | undefined {
    return this.#signers.get(id)
  }

  forget(id: string): void {
    this.#signers.delete(id)
  }
}
