// Backups: the list, what is in one, what is different, and bringing objects back.

import { Note } from '../../parts/Note'
import { Subpages, type Subpage } from '../../parts/Subpages'
import { AsOf, Loading, ProblemNote } from '../../parts/Asking'
import { useAsk } from '../../parts/useAsk'
import { place } from '../../router'
import { Browse } from './Browse'
import { Compare } from './Compare'
import { List } from './List'
import { SnapshotList } from './SnapshotList'
import type { BackupList } from './types'

const PARTS: Subpage[] = [
  { path: '/backups', title: 'All backups' },
  { path: '/backups/browse', title: 'Look into one' },
  { path: '/backups/compare', title: 'Compare' },
]

export function BackupsPage() {
  const rest = place.value.rest
  const list = useAsk<BackupList>('/api/backups/list')
  const found = list.value
  return (
    <div class="page">
      <div class="title-row">
        <h1>Backups</h1>
        {found?.url && <p class="dim">{found.url}</p>}
        <span class="grow" />
        <AsOf at={list.at} isBusy={list.isBusy} again={() => list.again()} />
      </div>
      <Subpages parts={PARTS} now={rest ? `/backups/${rest}` : '/backups'} label="Parts of the backups page" />
      {list.problem && <Problem problem={list.problem} again={() => list.again()} />}
      {!found && !list.problem && <Loading what="the backups" />}
      {found && found.backups.length === 0 && (!rest || !found.snapshots.length) && (
        <Note tone="info" title="There is no backup in this repository yet" hint="Make the first one with:">
          <code>shipkeeper backup create --repo {found.url ?? 'URL'}</code>
        </Note>
      )}
      {found && found.backups.length + found.snapshots.length > 0 && (
        <>
          {!found.isReadable && (
            <Note
              tone="wait"
              title="This console has no key that reads backups: they can be listed, and no more"
              hint="Start it with: shipkeeper serve --repo URL --identity FILE"
            />
          )}
          {rest === '' && found.backups.length > 0 && <List list={found} again={() => list.again()} />}
          {rest === '' && <SnapshotList list={found} />}
          {rest === 'browse' && <Browse list={found} />}
          {rest === 'compare' && <Compare list={found} />}
        </>
      )}
    </div>
  )
}

function Problem(props: Parameters<typeof ProblemNote>[0]) {
  if (props.problem.reason === 'NoRepository')
    return <Note tone="info" title={props.problem.message} hint={props.problem.hint} />
  return <ProblemNote {...props} />
}
