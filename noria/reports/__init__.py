"""What do people read about a version? Evaluation page, model card, checklist, lineage."""
