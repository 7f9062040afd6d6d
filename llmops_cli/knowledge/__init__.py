"""What the SOP knows, as data: error codes, rate limits, thresholds, sentences, runbooks, the expansion request."""
