"""Input and output that jobs and serving share: files of use cases and bundles, templates, atomic writes, polling."""
