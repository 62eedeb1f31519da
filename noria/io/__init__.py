"""What several rooms and serving share on disk: files of use cases and bundles, and the templates of pages and mails."""
