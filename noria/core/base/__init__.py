"""Words that every room uses: errors, time, intervals, results of steps, API keys."""
