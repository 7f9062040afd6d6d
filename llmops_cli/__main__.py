"""`python -m llmops_cli` is `llmops`."""

from llmops_cli.app import main

if __name__ == "__main__":
    main()
