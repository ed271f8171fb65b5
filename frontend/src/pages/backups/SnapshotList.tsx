import { age, moment } from '../../format'
import { asked } from '../../parts/useAsk'
import { at } from '../../router'
import { bytes, pointOf, type BackupList } from './types'

export function SnapshotList({ list }: { list: BackupList }) {
  if (!list.snapshots.length) return null
  return (
    <>
      <h2>Snapshots of etcd</h2>
      <table class="table stack" aria-label="Snapshots of etcd">
        <thead>
          <tr>
            <th scope="col">Snapshot</th>
            <th scope="col">Made</th>
            <th scope="col">Size, and what it added</th>
            <th scope="col">etcd</th>
            <th scope="col">From</th>
            <th scope="col">
              <span class="hidden">More</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {list.snapshots.map((each) => (
            <tr key={each.name}>
              <th scope="row" class="strong">
                {each.name}
              </th>
              <td data-label="Made" title={moment(each.created)}>{age(each.created)} ago</td>
              <td data-label="Size">
                {bytes(each.size)} <span class="dim">+{bytes(each.addedBytes)}</span>
              </td>
              <td data-label="etcd">
                {each.isDamaged ? (
                  <span class="status bad">
                    <span class="shape" aria-hidden="true">
                      ✕
                    </span>
                    Damaged
                  </span>
                ) : (
                  (each.version ?? <span class="dim">sealed</span>)
                )}
              </td>
              <td class="mono" data-label="From">{each.endpoint ?? <span class="dim">sealed</span>}</td>
              <td class="links">
                {list.isReadable && !each.isDamaged && (
                  <>
                    <a href={at(asked('/backups/browse', { backup: pointOf(each) }))}>Look into</a>
                    <a href={at(asked('/backups/compare', { old: pointOf(each) }))}>Compare</a>
                  </>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  )
}
