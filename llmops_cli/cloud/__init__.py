"""How Alibaba Cloud is reached: credentials, clients, one deadline for everything, retry by code.

Nothing outside this room imports an SDK, and nothing is imported before a source that is configured is asked.
"""
