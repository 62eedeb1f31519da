"""Schema of Noria's own tables: numbered migrations, and what applies and checks them.

To change a table, add `versions/<next number>_<name>.py` like the last one there, and rows for it to `ROWS` in
`tests/data/migrations/revisions.py`. Add columns and tables, and remove none that serving of the release before writes.
"""
