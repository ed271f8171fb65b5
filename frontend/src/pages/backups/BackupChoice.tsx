import { age } from '../../format'
import type { BackupList } from './types'

export function BackupChoice(props: {
  label: string
  list: BackupList
  value: string
  other?: string
  onChange: (name: string) => void
}) {
  return (
    <label class="inline">
      <span class="label">{props.label}</span>
      <select class="field" value={props.value} onChange={(event) => props.onChange(event.currentTarget.value)}>
        {props.other && <option value="">{props.other}</option>}
        {props.list.backups.map(({ row }) => (
          <option value={row.name}>
            {row.name} ({age(row.created)} ago)
          </option>
        ))}
      </select>
    </label>
  )
}
