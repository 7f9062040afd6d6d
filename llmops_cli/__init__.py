"""llmops: the tool an on-call engineer opens when an LLM application on Alibaba Cloud misbehaves."""
