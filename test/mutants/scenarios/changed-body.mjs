/** The same key with another amount. */
import { workloads } from '../../../dist/engines/payment/workloads.js'

export const scenario = workloads['changed-body']
