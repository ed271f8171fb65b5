import { useState } from 'preact/hooks'
import { named } from '../clusters'
import { base } from '../router'
import { ClusterList, useClusters } from './ClusterList'
import { Icon } from './Icon'
import { ByLink } from './Login'

/** An address that names no cluster: which one is meant is never guessed. */
export function Choice() {
  const found = useClusters()
  const [typed, setTyped] = useState('')
  // A name that no cluster has is not taken along into another.
  const onward = (location.pathname.slice(base.length) || '/') + location.search
  if (!found) return <main class="alone" aria-busy="true" />
  const shown = named(found.clusters, typed)
  return (
    <main class="alone">
      <div class="login choice">
        <p class="login-brand">
          <Icon name="wheel" /> shipkeeper
        </p>
        {found.clusters.length === 0 && found.way === 'link' ? (
          <ByLink />
        ) : (
          <form
            onSubmit={(event) => {
              event.preventDefault()
              const first = shown[0]
              if (first) location.assign(first.path + onward)
            }}
          >
            <h1>Choose a cluster</h1>
            {(base || onward !== '/') && <p class="dim">This address does not say which one is meant.</p>}
            <input
              class="field wide"
              type="search"
              aria-label="Cluster"
              placeholder="Filter by name; Enter opens the first"
              autoFocus
              onInput={(event) => setTyped(event.currentTarget.value)}
            />
            <ClusterList clusters={shown} way={found.way} onward={onward} />
            {shown.length === 0 && <p class="dim">No cluster has this name.</p>}
          </form>
        )}
      </div>
    </main>
  )
}

/** What else there is, where one cluster cannot be shown or entered. */
export function OtherClusters() {
  const found = useClusters()
  const others = found?.clusters.filter((each) => each.path !== base) ?? []
  if (!found || others.length === 0) return null
  return (
    <section class="others" aria-label="Other clusters">
      <h2>Other clusters</h2>
      <ClusterList clusters={others} way={found.way} onward="/" />
    </section>
  )
}
