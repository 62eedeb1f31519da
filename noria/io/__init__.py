"""Files of use cases and bundles, shared by jobs and serving: read, checked, written whole or not at all."""
