import { counted } from '../../format'
import type { PlanView } from './PlanPanel'

/** The waves in their order: who may be down together, and the bound that no plan beats. */
export function Waves({ plan }: { plan: PlanView }) {
  const moving = new Map<string, number>()
  for (const each of plan.pods) moving.set(each.node, (moving.get(each.node) ?? 0) + 1)
  return (
    <div class="waves">
      <p>
        <span class="strong">{counted(plan.waves.length, 'wave')}</span>{' '}
        <span class="dim">
          {plan.waves.length === plan.leastWaves
            ? 'no plan under these limits has fewer'
            : `no plan under these limits has fewer than ${plan.leastWaves}`}
        </span>
      </p>
      <ol class="wave-line" tabIndex={0} aria-label="Waves">
        {plan.waves.map((wave, index) => (
          <li>
            <p class="wave-name">Wave {index + 1}</p>
            <ul>
              {wave.map((node) => (
                <li class="wave-node" title={node}>
                  <span class="ellipsis">{node}</span>
                  <span class="dim number">{counted(moving.get(node) ?? 0, 'pod')}</span>
                </li>
              ))}
            </ul>
          </li>
        ))}
      </ol>
    </div>
  )
}
