"""What the evaluation page is made of: words, plots and templates."""
