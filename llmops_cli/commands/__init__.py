"""One module per verb: options -> ask sources -> ask sop -> hand the result to a view. No decisions, no SQL."""
