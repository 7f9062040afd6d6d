"""What is changed on the account, as code: what is wanted, how it differs from what is there, and the way back.

Nothing here decides to change anything: a verb shows the plan first and carries it out only when it was told to.
"""
