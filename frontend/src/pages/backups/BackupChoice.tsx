import { age } from '../../format'
import { pointOf, type BackupList } from './types'

export function BackupChoice(props: {
  label: string
  list: BackupList
  value: string
  other?: string
  onChange: (name: string) => void
}) {
  const { backups, snapshots } = props.list
  return (
    <label class="inline">
      <span class="label">{props.label}</span>
      <select class="field" value={props.value} onChange={(event) => props.onChange(event.currentTarget.value)}>
        {props.other && <option value="">{props.other}</option>}
        {backups.length > 0 && (
          <optgroup label="Backups">
            {backups.map(({ row }) => (
              <option value={row.name}>
                {row.name} ({age(row.created)} ago)
              </option>
            ))}
          </optgroup>
        )}
        {snapshots.length > 0 && (
          <optgroup label="Snapshots of etcd">
            {snapshots.map((each) => (
              <option value={pointOf(each)}>
                {each.name} ({age(each.created)} ago)
              </option>
            ))}
          </optgroup>
        )}
      </select>
    </label>
  )
}
