"""The file format of etcd's database (bbolt): read page by page, checked, and added to."""
