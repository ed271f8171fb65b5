// How an upgrade is to be done: by whom, what is saved first, and how nodes are drained.

import { Labelled, Text, Tick } from '../../parts/Fields'

export interface Wish {
  how: 'ssh' | 'wait'
  via: string
  packages: string
  snapshot: boolean
  backup: boolean
  max_unavailable: string
  max_unavailable_per_zone: string
  on_failure: string
  allow_pending: boolean
  canary: string
  window: string
  soak: string
  wait_limit: string
  ignore_daemonsets: boolean
  delete_emptydir_data: boolean
  force: boolean
}

const words = (text: string): string[] => text.split(/[,\s]+/).filter(Boolean)

export function formOf(to: string, wish: Wish): Record<string, unknown> {
  const { how, ...same } = wish
  return {
    ...same,
    to,
    wait: how === 'wait',
    via: words(wish.via),
    canary: words(wish.canary),
    window: wish.window ? [wish.window] : [],
    soak: wish.soak || '0s',
  }
}

export function firstWish(waits: boolean, backup: boolean): Wish {
  return {
    how: waits ? 'wait' : 'ssh',
    via: '',
    packages: '',
    snapshot: true,
    backup,
    max_unavailable: '1',
    max_unavailable_per_zone: '',
    on_failure: 'stop',
    allow_pending: false,
    canary: '',
    window: '',
    soak: '0s',
    wait_limit: '1h',
    ignore_daemonsets: true,
    delete_emptydir_data: false,
    force: false,
  }
}

export function UpgradeForm(props: {
  wish: Wish
  set: (changes: Partial<Wish>) => void
  isLocal: boolean
  repository: string | null
}) {
  const { wish, set, isLocal } = props
  return (
    <form class="wish" onSubmit={(event) => event.preventDefault()}>
      <div class="wish-row">
        <Labelled label="Hosts are upgraded">
          <select class="field" value={wish.how} onChange={(event) => set({ how: event.currentTarget.value as Wish['how'] })}>
            {isLocal && <option value="ssh">over SSH, with kubeadm</option>}
            <option value="wait">by somebody else, and watched</option>
          </select>
        </Labelled>
        <Text label="Down at once" value={wish.max_unavailable} onText={(text) => set({ max_unavailable: text || '1' })} />
        <Text
          label="Of them in a zone"
          value={wish.max_unavailable_per_zone}
          hint="any"
          onText={(text) => set({ max_unavailable_per_zone: text })}
        />
      </div>
      <div class="ticks">
        {wish.how === 'ssh' && (
          <Tick label="save etcd first" is={wish.snapshot} on={(is) => set({ snapshot: is })} />
        )}
        {isLocal && props.repository !== null && (
          <Tick label={`back resources up first, into ${props.repository}`} is={wish.backup} on={(is) => set({ backup: is })} />
        )}
        <Tick label="leave DaemonSets' pods" flag="--ignore-daemonsets" is={wish.ignore_daemonsets} on={(is) => set({ ignore_daemonsets: is })} />
        <Tick label="give up emptyDir data" flag="--delete-emptydir-data" is={wish.delete_emptydir_data} on={(is) => set({ delete_emptydir_data: is })} />
        <Tick label="give up pods without a controller" flag="--force" is={wish.force} on={(is) => set({ force: is })} />
      </div>
      <details>
        <summary>More</summary>
        <div class="wish-row">
          <Text label="Versions on the way" value={wish.via} hint="v1.36.3" onText={(text) => set({ via: text })} />
          {wish.how === 'ssh' ? (
            <Labelled label="Packages">
              <select class="field" value={wish.packages} onChange={(event) => set({ packages: event.currentTarget.value })}>
                <option value="">as each host has them</option>
                <option value="apt">apt</option>
                <option value="dnf">dnf</option>
              </select>
            </Labelled>
          ) : (
            <Text label="It may take, for each" value={wish.wait_limit} onText={(text) => set({ wait_limit: text || '1h' })} />
          )}
          <Text label="Canaries first" value={wish.canary} hint="1, or a name" onText={(text) => set({ canary: text })} />
          <Text label="Health must hold for" value={wish.soak} onText={(text) => set({ soak: text })} />
          <Text
            label="Window"
            value={wish.window}
            hint="0 22 * * sat 4h Europe/Berlin"
            onText={(text) => set({ window: text })}
          />
          <Labelled label="If a node fails">
            <select class="field" value={wish.on_failure} onChange={(event) => set({ on_failure: event.currentTarget.value })}>
              <option value="stop">begin no other</option>
              <option value="continue">go on with others</option>
            </select>
          </Labelled>
          <Tick label="bear Pending pods" flag="--allow-pending" is={wish.allow_pending} on={(is) => set({ allow_pending: is })} />
        </div>
      </details>
    </form>
  )
}
