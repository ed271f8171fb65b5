import { useState } from 'preact/hooks'
import { place } from '../router'
import { ClusterList, useClusters } from './ClusterList'

/** The name of the cluster in the header, and the way to the others. */
export function ClusterSwitch({ name, server }: { name: string; server: string }) {
  const [isOpen, setOpen] = useState(false)
  return (
    <details class="menu cluster-switch" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary title={server} aria-label={`Cluster ${name}; change`}>
        <span class="dim">Cluster</span> <span class="cluster-name">{name}</span>
      </summary>
      {isOpen && <Others />}
    </details>
  )
}

function Others() {
  const found = useClusters()
  return (
    <div class="menu-body" aria-busy={found === null}>
      {found && <ClusterList clusters={found.clusters} way={found.way} onward={`/${place.value.page}`} />}
    </div>
  )
}
